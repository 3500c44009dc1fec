/* SPDX-License-Identifier: MIT */
/* kerbtestsrc: a synthetic drive (drive.h) as a source element, with its ground truth on a request pad. docs/elements.md says how to use it. */
#ifndef KERB_PLUGIN_KERBTESTSRC_H
#define KERB_PLUGIN_KERBTESTSRC_H

#include <gst/gst.h>

#define KERB_TYPE_TEST_SRC (kerb_test_src_get_type())
G_DECLARE_FINAL_TYPE(KerbTestSrc, kerb_test_src, KERB, TEST_SRC, GstBin)

#endif
