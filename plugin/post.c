/* SPDX-License-Identifier: MIT */
/* Kerb's errors as bus messages; see post.h. */
#include "post.h"

static void kerb_post_domain(const KerbError *error, const gchar *missing_file, GQuark *domain, gint *code)
{
    *domain = GST_RESOURCE_ERROR;
    switch (error->status) {
    case KERB_ERROR_ARGUMENT: *code = GST_RESOURCE_ERROR_SETTINGS; return;
    case KERB_ERROR_ASSET:
        if (missing_file && !g_file_test(missing_file, G_FILE_TEST_EXISTS)) {
            *code = GST_RESOURCE_ERROR_NOT_FOUND;
            return;
        }
        *domain = GST_STREAM_ERROR;
        *code = GST_STREAM_ERROR_WRONG_TYPE;
        return;
    case KERB_ERROR_UNSUPPORTED:
        *domain = GST_STREAM_ERROR;
        *code = GST_STREAM_ERROR_NOT_IMPLEMENTED;
        return;
    case KERB_ERROR_BACKEND:
        *domain = GST_LIBRARY_ERROR;
        *code = GST_LIBRARY_ERROR_INIT;
        return;
    case KERB_ERROR_STORAGE: *code = GST_RESOURCE_ERROR_READ; return;
    case KERB_ERROR_MEMORY: *code = GST_RESOURCE_ERROR_FAILED; return; /* NO_SPACE_LEFT means a full disk to applications */
    default:
        *domain = GST_LIBRARY_ERROR;
        *code = GST_LIBRARY_ERROR_FAILED;
        return;
    }
}

void kerb_post(GstElement *element, GstMessageType type, const KerbError *error, const gchar *missing_file)
{
    GQuark domain;
    gint code;
    kerb_post_domain(error, missing_file, &domain, &code);
    const gchar *text = error->message[0] ? error->message : kerb_status_name(error->status);
    GstStructure *details = gst_structure_new("kerb-error", "status", G_TYPE_INT, (gint)error->status, "exit-code", G_TYPE_INT,
                                              kerb_exit_code(error->status), NULL);
    gst_element_message_full_with_details(element, type, domain, code, g_strdup(text), g_strdup(kerb_status_name(error->status)), __FILE__,
                                          __func__, __LINE__, details);
}

void kerb_post_setting(GstElement *element, gchar *text)
{
    gst_element_message_full(element, GST_MESSAGE_WARNING, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, text, NULL, __FILE__, __func__,
                             __LINE__);
}
