/* SPDX-License-Identifier: MIT */
/* For scripts that compare Kerb with somebody else: one raw RGB frame in, raw labels and confidence out.
 *
 *     kerb-segment-frame MODEL CARD BACKEND WIDTH HEIGHT FRAME.rgb LABELS.raw CONFIDENCE.raw
 */
#include "kerb.h"

#include <stdio.h>
#include <stdlib.h>

static int write_map(const char *path, const KerbMap *map, const KerbVideoFormat *format)
{
    FILE *f = fopen(path, "wb");
    if (!f) return 5;
    for (int y = 0; y < format->height_px; y++)
        if (fwrite(map->data + (size_t)y * (size_t)map->stride, 1, (size_t)format->width_px, f) != (size_t)format->width_px) return 5;
    return fclose(f) == 0 ? 0 : 5;
}

int main(int argc, char **argv)
{
    if (argc != 9) return 2;
    KerbVideoFormat format = { .pixel_format = KERB_FORMAT_RGB, .width_px = atoi(argv[4]), .height_px = atoi(argv[5]) };
    size_t bytes = (size_t)format.width_px * (size_t)format.height_px * 3;
    uint8_t *rgb = malloc(bytes);
    FILE *f = fopen(argv[6], "rb");
    if (!rgb || !f || fread(rgb, 1, bytes, f) != bytes) return 5;
    fclose(f);
    KerbConfig config;
    kerb_config_init(&config);
    config.model_file = argv[1];
    config.card_file = argv[2];
    config.backend = argv[3];
    KerbPipeline *k;
    KerbError error;
    KerbResult result = { .status = KERB_OK };
    KerbJob job = { .frame = { .planes = { rgb }, .strides = { format.width_px * 3 } } };
    KerbStatus status = kerb_open(&k, &config, &error);
    if (status == KERB_OK) status = kerb_set_format(k, &format, &error);
    if (status == KERB_OK) status = kerb_submit(k, &job, &error);
    if (status == KERB_OK) status = kerb_collect(k, &result, -1, &error);
    if (status == KERB_OK) status = result.status;
    int code = kerb_exit_code(status);
    if (status == KERB_OK) code = write_map(argv[7], &result.labels, &format);
    if (code == 0) code = write_map(argv[8], &result.confidence, &format);
    if (status != KERB_OK) fprintf(stderr, "%s\n", error.message);
    kerb_close(&k);
    free(rgb);
    return code;
}
