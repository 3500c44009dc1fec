/* SPDX-License-Identifier: MIT */
/* The files of a recording: their names, which of them are kept, and which go when there is no room.
 *
 * One file has the name that the user gave it. Where a recording is split, -o drive.mkv makes drive-00001.mkv, drive-00002.mkv... in the folder, numbers
 * going on where former runs ended; what an event protects is called drive-00002-event.mkv, so that one rename() is all there is to it, and a card that is
 * read elsewhere shows it. Order is that of the numbers: clocks of vehicles jump. Only files with such a name, regular, whose header says that Kerb wrote
 * them, are ever deleted. One thread. It writes nothing into files. */
#ifndef KERB_APPS_REEL_H
#define KERB_APPS_REEL_H

#include <glib.h>

typedef struct KerbReel {
    gchar *name; /* of the file that is written, as the user would write it */
    gchar *path; /* and where it is; links followed */
    gchar *part; /* what it is called until there is something in it; NULL: it has its name, or is written in place (a pipe, a device) */
    gboolean replace, split, streams; /* streams: one cannot go back in it */
    guint64 keep_bytes;               /* 0: no limit */
    gboolean said_kept;               /* that protected files alone are more than that */
    gchar *folder, *stem, *suffix;    /* of split recordings: "." "drive" ".mkv" */
    gchar *shown;                     /* "" or "folder/", as the user wrote it */
    guint number;                     /* of the file that is written; 0: none yet */
    gboolean is_protected;            /* it is */
    GMutex lock;                      /* guards name and part for kerb_reel_name() and kerb_reel_abandon() */
} KerbReel;

#define KERB_WRITER "kerb " /* how the header of every file of ours names who wrote it */

/* Checks that files can be made here; 0 or an exit code, having said why. source: what it must not be (NULL: anything goes). */
int kerb_reel_check(const gchar *path, gboolean force, gboolean split, const gchar *source);

void kerb_reel_init(KerbReel *reel, const gchar *path, gboolean force, gboolean split, guint64 keep_bytes);
void kerb_reel_clear(KerbReel *reel);

/* Opens the next file, without its name. Returns a descriptor, or -1 and errno. */
int kerb_reel_open(KerbReel *reel, gboolean is_protected);
/* There is something in it: it takes its name. Returns NULL, or why it could not, to be freed: it then stays where it is, and `name` says so. */
gchar *kerb_reel_publish(KerbReel *reel);

/* Protects the file that is written; or the one before it (as far as it is there). */
void kerb_reel_protect(KerbReel *reel);
void kerb_reel_protect_previous(KerbReel *reel);

/* Deletes the oldest file that may go. FALSE: there is none. */
gboolean kerb_reel_make_room(KerbReel *reel);
/* Deletes until what is there and the `bytes` of the file that is written are within the limit. */
void kerb_reel_keep(KerbReel *reel, guint64 bytes);

/* The file has nothing in it: it goes. Any thread. */
void kerb_reel_abandon(KerbReel *reel);
/* g_free() it. Any thread. */
gchar *kerb_reel_name(KerbReel *reel);

#endif
