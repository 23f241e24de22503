"""The operations of SageMaker, by name."""

from __future__ import annotations

from collections.abc import Mapping

from sagespec.api.sagemaker import endpoints, jobs, models, notebooks, tags
from sagespec.api.service import Operation

OPERATIONS: Mapping[str, Operation] = {
    "CreateTrainingJob": jobs.create_training_job,
    "DescribeTrainingJob": jobs.describe_training_job,
    "ListTrainingJobs": jobs.list_training_jobs,
    "DeleteTrainingJob": jobs.delete_training_job,
    "StopTrainingJob": jobs.stop_training_job,
    "CreateModel": models.create_model,
    "DescribeModel": models.describe_model,
    "DeleteModel": models.delete_model,
    "ListModels": models.list_models,
    "CreateEndpointConfig": models.create_endpoint_config,
    "DescribeEndpointConfig": models.describe_endpoint_config,
    "DeleteEndpointConfig": models.delete_endpoint_config,
    "ListEndpointConfigs": models.list_endpoint_configs,
    "CreateEndpoint": endpoints.create_endpoint,
    "DescribeEndpoint": endpoints.describe_endpoint,
    "UpdateEndpoint": endpoints.update_endpoint,
    "UpdateEndpointWeightsAndCapacities": endpoints.update_endpoint_weights_and_capacities,
    "DeleteEndpoint": endpoints.delete_endpoint,
    "ListEndpoints": endpoints.list_endpoints,
    "CreateNotebookInstance": notebooks.create_notebook_instance,
    "DescribeNotebookInstance": notebooks.describe_notebook_instance,
    "ListNotebookInstances": notebooks.list_notebook_instances,
    "StartNotebookInstance": notebooks.start_notebook_instance,
    "StopNotebookInstance": notebooks.stop_notebook_instance,
    "UpdateNotebookInstance": notebooks.update_notebook_instance,
    "DeleteNotebookInstance": notebooks.delete_notebook_instance,
    "CreatePresignedNotebookInstanceUrl": notebooks.create_presigned_notebook_instance_url,
    "CreateNotebookInstanceLifecycleConfig": notebooks.create_lifecycle_config,
    "DescribeNotebookInstanceLifecycleConfig": notebooks.describe_lifecycle_config,
    "ListNotebookInstanceLifecycleConfigs": notebooks.list_lifecycle_configs,
    "DeleteNotebookInstanceLifecycleConfig": notebooks.delete_lifecycle_config,
    "AddTags": tags.add_tags,
    "ListTags": tags.list_tags,
    "DeleteTags": tags.delete_tags,
}
