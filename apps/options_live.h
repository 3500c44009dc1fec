/* SPDX-License-Identifier: MIT */
/* Options of what runs live: kerbseg's live mode, smoothing over time, and how old labels may be. */
#ifndef KERB_APPS_OPTIONS_LIVE_H
#define KERB_APPS_OPTIONS_LIVE_H

#include "options.h"

void kerb_options_add_live(GOptionContext *context, KerbOptions *options);
/* FALSE, having said what is valid. */
gboolean kerb_options_check_live(const KerbOptions *options);
/* is_live: where the user does not say, a live source gets live-mode=latest and a file every-frame. */
void kerb_options_apply_live(const KerbOptions *options, gboolean is_live, GstElement *kerbseg);
KerbSmoothing kerb_options_smoothing(const KerbOptions *options);

#endif
