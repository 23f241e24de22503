"""How requests and answers of AWS's services are written, one file a protocol."""
