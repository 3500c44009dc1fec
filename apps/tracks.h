/* SPDX-License-Identifier: MIT */
/* GStreamer's caps as Matroska's tracks: what a player must know of a stream. */
#ifndef KERB_APPS_TRACKS_H
#define KERB_APPS_TRACKS_H

#include "matroska.h"

#include <gst/gst.h>

/* Audio that Matroska holds as it is. */
#define KERB_COPIED_AUDIO_CAPS                                                                                                                \
    "audio/mpeg, mpegversion = (int) 4, framed = (boolean) true, stream-format = (string) raw; audio/mpeg, mpegversion = (int) 1, parsed = "    \
    "(boolean) true; audio/x-opus; audio/x-vorbis; audio/x-ac3, framed = (boolean) true; audio/x-flac, framed = (boolean) true"

/* Fills in what the caps say. codec_private is the caller's to free. FALSE: Matroska has no such codec, or the caps lack something. */
gboolean kerb_track_from_caps(KerbTrack *track, GstCaps *caps);

/* Headers of Vorbis and FLAC travel as buffers too; they are in the track already. */
gboolean kerb_track_is_header(GstBuffer *buffer);

#endif
