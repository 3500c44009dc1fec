/* SPDX-License-Identifier: MIT */
/* What a GStreamer ERROR message means to the user: one sentence, and the exit code. */
#ifndef KERB_APPS_FAULT_H
#define KERB_APPS_FAULT_H

#include "source.h"

typedef enum KerbFaultSide { KERB_FAULT_NONE, KERB_FAULT_SOURCE, KERB_FAULT_NETWORK, KERB_FAULT_OUTPUT } KerbFaultSide;

typedef struct KerbFault {
    KerbFaultSide side;
    int exit_code;
    gchar *text; /* owned */
} KerbFault;

void kerb_fault_clear(KerbFault *fault);

/* Reads an ERROR message. output: what is written to, for the sentence (NULL: nothing is). Where several errors come, the first that says more than
 * "data stream error" counts: call it for each. */
void kerb_fault_read(KerbFault *fault, GstMessage *message, KerbSource *source, const gchar *output);

/* The next sample of a pipeline that plays and ends in this appsink; NULL: the end, or an error, which *fault has then. Waits. */
GstSample *kerb_fault_pull(KerbFault *fault, KerbSource *source, GstElement *pipeline, GstElement *sink);

/* "H.264 decoder, which is not installed here. Install gstreamer1.0-libav." from a missing-plugin message. */
gchar *kerb_fault_missing_text(GstMessage *message);

/* Notes the missing-plugin messages of the bus, which come before the error that they cause. */
void kerb_fault_note_missing(GstMessage *message, KerbSource *source);

/* The Debian package that has an element or decodes something ("gstreamer1.0-libav"); NULL: not known. */
const char *kerb_package_of(const char *element);

/* An element, or NULL, having said what is missing and which package has it. */
GstElement *kerb_element(const char *factory);

#endif
