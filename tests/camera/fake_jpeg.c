/* SPDX-License-Identifier: MIT */
/* JPEG with flat 8 x 8 blocks: only the first coefficient of a block is ever written, with the plainest Huffman tables that the standard allows. */
#include "fake_camera.h"

#include <stdlib.h>
#include <string.h>

typedef struct FakeBits {
    uint8_t *to;
    size_t at, room;
    uint32_t held;
    int n;
} FakeBits;

static void fake_byte(FakeBits *b, int byte)
{
    if (b->at < b->room) b->to[b->at++] = (uint8_t)byte;
}

static void fake_bits(FakeBits *b, uint32_t value, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        b->held = b->held << 1 | (value >> i & 1);
        if (++b->n < 8) continue;
        fake_byte(b, (int)(b->held & 255));
        if ((b->held & 255) == 255) fake_byte(b, 0);
        b->held = 0;
        b->n = 0;
    }
}

static void fake_segment(FakeBits *b, int marker, const uint8_t *data, size_t n)
{
    fake_byte(b, 0xff);
    fake_byte(b, marker);
    fake_byte(b, (int)(n + 2) >> 8);
    fake_byte(b, (int)(n + 2) & 255);
    for (size_t i = 0; i < n; i++) fake_byte(b, data[i]);
}

/* A category of 4 bits, then the difference; then "nothing more" in one bit. */
static void fake_block(FakeBits *b, int *last, int value)
{
    int difference = value - *last, magnitude = abs(difference), bits = 0;
    *last = value;
    while (magnitude >> bits) bits++;
    fake_bits(b, (uint32_t)bits, 4);
    fake_bits(b, (uint32_t)(difference < 0 ? difference + (1 << bits) - 1 : difference), bits);
    fake_bits(b, 0, 1);
}

size_t fake_jpeg(uint8_t *to, size_t room, uint32_t number, int width, int height)
{
    static const int colors[2][3] = { { 76, 85, 255 }, { 150, 44, 21 } }; /* JFIF's red and green */
    FakeBits b = { .to = to, .room = room };
    uint8_t quantizer[65], frame[15] = { 8, (uint8_t)(height >> 8), (uint8_t)height, (uint8_t)(width >> 8), (uint8_t)width, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0 };
    uint8_t dc[1 + 16 + 12] = { 0, 0, 0, 0, 12 }, ac[1 + 16 + 1] = { 0x10, 1 }, scan[10] = { 3, 1, 0, 2, 0, 3, 0, 0, 63, 0 };
    int last[3] = { 0 };
    memset(quantizer, 8, sizeof quantizer); /* the first coefficient is eight times the mean */
    quantizer[0] = 0;
    for (int i = 0; i < 12; i++) dc[17 + i] = (uint8_t)i;
    fake_byte(&b, 0xff);
    fake_byte(&b, 0xd8);
    fake_segment(&b, 0xdb, quantizer, sizeof quantizer);
    fake_segment(&b, 0xc0, frame, sizeof frame);
    fake_segment(&b, 0xc4, dc, sizeof dc);
    fake_segment(&b, 0xc4, ac, sizeof ac);
    fake_segment(&b, 0xda, scan, sizeof scan);
    for (int y = 0; y < height; y += 8)
        for (int x = 0; x < width; x += 8)
            for (int c = 0; c < 3; c++) fake_block(&b, &last[c], colors[fake_is_green(number, x + 4, y + 4, width, height)][c] - 128);
    if (b.n) fake_bits(&b, 127, 8 - b.n);
    fake_byte(&b, 0xff);
    fake_byte(&b, 0xd9);
    return b.at;
}
