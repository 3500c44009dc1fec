/* SPDX-License-Identifier: MIT */
/* A stand-in network camera: serves H.264, 64 x 36 at 30 frames a second, at rtsp://127.0.0.1:PORT/live until it is killed.
 * Usage: rtsp_server PORT [SIZE]; SIZE is WxH. Prints "ready" when it listens. */
#include <gst/rtsp-server/rtsp-server.h>

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    int width = 64, height = 36;
    gst_init(&argc, &argv);
    if (argc < 2 || (argc > 2 && sscanf(argv[2], "%dx%d", &width, &height) != 2)) {
        fprintf(stderr, "usage: rtsp_server PORT [WxH]\n");
        return 2;
    }
    char launch[512];
    snprintf(launch, sizeof launch,
             "( videotestsrc is-live=true ! video/x-raw,format=I420,width=%d,height=%d,framerate=30/1 "
             "! x264enc tune=zerolatency key-int-max=15 speed-preset=ultrafast ! rtph264pay name=pay0 config-interval=1 )",
             width, height);
    GstRTSPServer *server = gst_rtsp_server_new();
    gst_rtsp_server_set_address(server, "127.0.0.1");
    gst_rtsp_server_set_service(server, argv[1]);
    GstRTSPMediaFactory *factory = gst_rtsp_media_factory_new();
    gst_rtsp_media_factory_set_launch(factory, launch);
    gst_rtsp_media_factory_set_shared(factory, TRUE);
    GstRTSPMountPoints *mounts = gst_rtsp_server_get_mount_points(server);
    gst_rtsp_mount_points_add_factory(mounts, "/live", factory);
    g_object_unref(mounts);
    if (!gst_rtsp_server_attach(server, NULL)) {
        fprintf(stderr, "rtsp_server: cannot listen on 127.0.0.1:%s\n", argv[1]);
        return 1;
    }
    puts("ready");
    fflush(stdout);
    g_main_loop_run(g_main_loop_new(NULL, FALSE));
    return 0;
}
