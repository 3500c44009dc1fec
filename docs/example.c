/* SPDX-License-Identifier: MIT */
/* A whole program on kerb.h: segments one picture and writes the overlay.
 *
 *     example MODEL.onnx OUT.ppm [IN.ppm]
 *
 * IN.ppm is a binary PPM (P6, 8 bits); without it a synthetic road is segmented. To build it outside Kerb's tree:
 *
 *     cc example.c -o example $(pkg-config --cflags --libs kerb)
 */
#include <kerb.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Picture {
    int width, height;
    uint8_t *rgb; /* width * height * 3 */
} Picture;

static void print_log(void *user, KerbLogLevel level, const char *line) { fprintf(stderr, "kerb: %s\n", line); }

static bool picture_read(Picture *p, const char *path)
{
    FILE *f = fopen(path, "rb");
    int max = 0;
    p->rgb = NULL;
    if (f && fscanf(f, "P6 %d %d %d", &p->width, &p->height, &max) == 3 && max == 255 && p->width > 0 && p->height > 0 &&
        p->width <= KERB_MAX_SIDE_PX && p->height <= KERB_MAX_SIDE_PX && fgetc(f) != EOF) {
        size_t bytes = (size_t)p->width * (size_t)p->height * 3;
        p->rgb = malloc(bytes);
        if (p->rgb && fread(p->rgb, 1, bytes, f) != bytes) {
            free(p->rgb);
            p->rgb = NULL;
        }
    }
    if (f) fclose(f);
    return p->rgb != NULL;
}

/* Sky, grass, and a road that narrows towards the horizon, with a dashed line. */
static bool picture_invent(Picture *p)
{
    p->width = 640;
    p->height = 360;
    p->rgb = malloc((size_t)p->width * (size_t)p->height * 3);
    for (int y = 0; p->rgb && y < p->height; y++) {
        for (int x = 0; x < p->width; x++) {
            int depth = y - p->height / 2, from_middle = abs(x - p->width / 2);
            bool road = from_middle < depth * 3 / 2, line = road && from_middle < depth / 25 && (y / 20) % 2;
            const uint8_t sky[3] = { 150, 190, 230 }, grass[3] = { 70, 110, 60 }, asphalt[3] = { 90, 90, 95 }, paint[3] = { 235, 235, 225 };
            memcpy(p->rgb + ((size_t)y * (size_t)p->width + (size_t)x) * 3, depth < 0 ? sky : line ? paint : road ? asphalt : grass, 3);
        }
    }
    return p->rgb != NULL;
}

static bool picture_write(const Picture *p, const char *path)
{
    FILE *f = fopen(path, "wb");
    if (!f) return false;
    size_t bytes = (size_t)p->width * (size_t)p->height * 3;
    bool ok = fprintf(f, "P6\n%d %d\n255\n", p->width, p->height) > 0 && fwrite(p->rgb, 1, bytes, f) == bytes;
    return fclose(f) == 0 && ok;
}

static void print_shares(KerbPipeline *k, const KerbResult *result, const Picture *p)
{
    long count[KERB_MAX_CLASSES] = { 0 };
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++) count[result->labels.data[(size_t)y * (size_t)result->labels.stride + (size_t)x]]++;
    int n;
    const KerbClass *classes = kerb_classes(k, &n);
    for (int i = 0; i < n; i++)
        if (count[i]) printf("%-20s %5.1f %%\n", classes[i].name, 100.0 * (double)count[i] / p->width / p->height);
    printf("in %.1f ms, network %.1f ms, out %.1f ms\n", (double)result->times.in_ns / 1e6, (double)result->times.net_ns / 1e6,
           (double)result->times.out_ns / 1e6);
}

/* One frame through the pipeline, drawn over itself. */
static KerbStatus segment(KerbPipeline *k, Picture *p, KerbError *error)
{
    KerbVideoFormat format = { .pixel_format = KERB_FORMAT_RGB, .width_px = p->width, .height_px = p->height };
    KerbStatus status = kerb_set_format(k, &format, error);
    if (status != KERB_OK) return status;
    KerbJob job = { .frame = { .planes = { p->rgb }, .strides = { p->width * 3 }, .pts_ns = 0 } };
    job.picture = job.frame;
    KerbResult result;
    status = kerb_submit(k, &job, error);
    if (status == KERB_OK) status = kerb_collect(k, &result, -1, error);
    if (status != KERB_OK) return status;
    if (result.status == KERB_OK) print_shares(k, &result, p);
    return result.status;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: %s MODEL.onnx OUT.ppm [IN.ppm]\n", argv[0]);
        return 2;
    }
    Picture picture;
    if (!(argc == 4 ? picture_read(&picture, argv[3]) : picture_invent(&picture))) {
        fprintf(stderr, "%s: not a binary PPM with 8 bits a channel\n", argc == 4 ? argv[3] : "no memory");
        return 3;
    }
    kerb_set_log(print_log, NULL, KERB_LOG_INFO);
    KerbConfig config;
    kerb_config_init(&config);
    config.model_file = argv[1];
    KerbPipeline *k;
    KerbError error = { 0 };
    KerbStatus status = kerb_open(&k, &config, &error);
    if (status == KERB_OK) status = segment(k, &picture, &error);
    kerb_close(&k);
    if (status == KERB_OK && !picture_write(&picture, argv[2])) {
        status = KERB_ERROR_STORAGE;
        snprintf(error.message, sizeof error.message, "%s: cannot be written", argv[2]);
    }
    free(picture.rgb);
    if (status != KERB_OK) fprintf(stderr, "%s\n", error.message);
    return kerb_exit_code(status);
}
