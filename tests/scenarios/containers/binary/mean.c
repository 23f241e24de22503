/* `mean train` writes the mean of the numbers in the channel `train` to the model; `mean serve` answers with it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define DATA "/opt/ml/input/data/train"
#define MODEL "/opt/ml/model/mean"

static int fail(const char *reason) {
    FILE *file = fopen("/opt/ml/output/failure", "w");
    if (file) fputs(reason, file), fclose(file);
    return 1;
}

static int train(void) {
    double sum = 0, number;
    long count = 0;
    char path[4096];
    struct dirent *entry;
    DIR *folder = opendir(DATA);
    if (!folder) return fail("ClientError: there is no channel train");
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, DATA "/%s", entry->d_name);
        FILE *file = fopen(path, "r");
        while (file && fscanf(file, "%lf%*[^0-9+-]", &number) == 1) sum += number, count++;
        if (file) fclose(file);
    }
    if (!count) return fail("ClientError: the channel train holds no numbers");
    FILE *model = fopen(MODEL, "w");
    if (!model) return fail("AlgorithmError: the model cannot be written");
    fprintf(model, "%g\n", sum / count);
    printf("mean=%g\n", sum / count);
    return fclose(model);
}

static void stop(int number) { (void)number; _exit(0); }

static void answer(int client, double mean) {
    char request[1 << 16], body[64] = "", head[256];
    ssize_t size = 0, got;
    const char *end = 0, *length;
    long want = 0;
    while (size < (ssize_t)sizeof request - 1 && (!end || request + size < end + 4 + want)) {
        if ((got = read(client, request + size, sizeof request - 1 - size)) <= 0) break;
        request[size += got] = 0;
        if (!end && (end = strstr(request, "\r\n\r\n")))
            want = (length = strcasestr(request, "\ncontent-length:")) ? atol(length + 16) : 0;
    }
    int known = !strncmp(request, "GET /ping ", 10) || !strncmp(request, "POST /invocations ", 18);
    if (request[0] == 'P') snprintf(body, sizeof body, "%g\n", mean);
    int head_size = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Type: text/csv\r\nContent-Length: %zu\r\n"
                             "Connection: close\r\n\r\n%s", known ? "200 OK" : "404 Not Found", strlen(body), body);
    if (write(client, head, head_size) < 0) perror("write");
}

static int serve(void) {
    double mean;
    int on = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
    FILE *model = fopen(MODEL, "r");
    if (!model || fscanf(model, "%lf", &mean) != 1) return 1;
    signal(SIGTERM, stop); /* process 1 has no handler of its own */
    signal(SIGPIPE, SIG_IGN);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 64)) return 1;
    for (;;) {
        int client = accept(server, 0, 0);
        if (client >= 0) answer(client, mean), close(client);
    }
}

int main(int count, char **words) {
    setvbuf(stdout, 0, _IOLBF, 0);
    if (count == 2 && !strcmp(words[1], "train")) return train();
    if (count == 2 && !strcmp(words[1], "serve")) return serve();
    fputs("usage: mean train|serve\n", stderr);
    return 64;
}
