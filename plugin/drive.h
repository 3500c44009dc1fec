/* SPDX-License-Identifier: MIT */
/* A synthetic drive: a road through a town, drawn by rules, with the class of every pixel. It is there so that Kerb can be tried, tested and
 * taught with nothing but its own tree; it does not pretend to look like the world.
 *
 * Enters: a seed, weather, a size, a time. Leaves: an RGB picture and its labels. No state: the same numbers give the same picture on every
 * machine, whatever was drawn before. */
#ifndef KERB_PLUGIN_DRIVE_H
#define KERB_PLUGIN_DRIVE_H

#include <stdint.h>

typedef enum DriveWeather { DRIVE_CLEAR, DRIVE_NIGHT, DRIVE_RAIN } DriveWeather;

/* Label indices, in the order of drive_classes. */
typedef enum DriveClass {
    DRIVE_SKY,
    DRIVE_BUILDING,
    DRIVE_TREE,
    DRIVE_TERRAIN,
    DRIVE_PAVEMENT,
    DRIVE_ROAD,
    DRIVE_LANE,
    DRIVE_CAR,
    DRIVE_PEDESTRIAN,
    DRIVE_N_CLASSES
} DriveClass;

extern const struct DriveClassInfo {
    const char *name;
    uint8_t rgb[3];
} drive_classes[DRIVE_N_CLASSES];

typedef struct Drive {
    uint32_t seed;
    DriveWeather weather;
    int width_px, height_px; /* >= 1 */
} Drive;

/* Draws the moment `seconds` (>= 0) after the start. rgb: 3 bytes a pixel; labels: 1 byte a pixel, a DriveClass. Strides in bytes. Any thread. */
void drive_render(const Drive *drive, double seconds, uint8_t *rgb, int rgb_stride, uint8_t *labels, int labels_stride);

#endif
