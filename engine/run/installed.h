/* SPDX-License-Identifier: MIT */
/* What came with libkerb is found by where libkerb itself lies: in an installation, a build tree, or a folder that somebody has put together. */
#ifndef KERB_RUN_INSTALLED_H
#define KERB_RUN_INSTALLED_H

/* The folder that libkerb was loaded from: the first *length characters, no slash at the end. NULL where it is not known. Never freed. */
const char *kerb_installed_folder(int *length);

#endif
