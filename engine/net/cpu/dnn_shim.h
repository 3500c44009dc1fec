/* SPDX-License-Identifier: MIT */
/* What differs between oneDNN 2 and 3, for dnn.c and conv_dnn.c only. KerbDnnDesc is a memory descriptor that is freed with
 * kerb_dnn_desc_free(). */
#ifndef KERB_NET_CPU_DNN_SHIM_H
#define KERB_NET_CPU_DNN_SHIM_H

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>

struct KerbDnn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t KerbDnnDesc;
typedef const_dnnl_memory_desc_t KerbDnnConstDesc;
static inline dnnl_status_t kerb_dnn_desc_strides(KerbDnnDesc *d, int n, const dnnl_dims_t dims, dnnl_data_type_t type,
                                                  const dnnl_dims_t strides)
{
    return dnnl_memory_desc_create_with_strides(d, n, dims, type, strides);
}
static inline dnnl_status_t kerb_dnn_desc_tag(KerbDnnDesc *d, int n, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(d, n, dims, type, tag);
}
static inline void kerb_dnn_desc_free(KerbDnnDesc *d)
{
    if (*d) dnnl_memory_desc_destroy(*d);
    *d = NULL;
}
#else
typedef dnnl_memory_desc_t *KerbDnnDesc;
typedef const dnnl_memory_desc_t *KerbDnnConstDesc;
static inline dnnl_status_t kerb_dnn_desc_strides(KerbDnnDesc *d, int n, const dnnl_dims_t dims, dnnl_data_type_t type,
                                                  const dnnl_dims_t strides)
{
    *d = malloc(sizeof **d);
    return *d ? dnnl_memory_desc_init_by_strides(*d, n, dims, type, strides) : dnnl_out_of_memory;
}
static inline dnnl_status_t kerb_dnn_desc_tag(KerbDnnDesc *d, int n, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    *d = malloc(sizeof **d);
    return *d ? dnnl_memory_desc_init_by_tag(*d, n, dims, type, tag) : dnnl_out_of_memory;
}
static inline void kerb_dnn_desc_free(KerbDnnDesc *d)
{
    free(*d);
    *d = NULL;
}
#endif

typedef struct KerbDnnConvDescs {
    KerbDnnDesc source, weights, bias, target; /* bias NULL: none */
    dnnl_dims_t stride, dilation, pad_begin, pad_end;
} KerbDnnConvDescs;
static inline dnnl_status_t kerb_dnn_conv_desc(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const KerbDnnConvDescs *d,
                                               const_dnnl_primitive_attr_t attr)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_convolution_forward_primitive_desc_create(out, engine, dnnl_forward_inference, dnnl_convolution_direct, d->source,
                                                          d->weights, d->bias, d->target, d->stride, d->dilation, d->pad_begin, d->pad_end,
                                                          attr);
#else
    dnnl_convolution_desc_t op;
    dnnl_status_t status =
        dnnl_dilated_convolution_forward_desc_init(&op, dnnl_forward_inference, dnnl_convolution_direct, d->source, d->weights, d->bias,
                                                   d->target, d->stride, d->dilation, d->pad_begin, d->pad_end);
    return status ? status : dnnl_primitive_desc_create(out, &op, attr, engine, NULL);
#endif
}

static inline dnnl_status_t kerb_dnn_post_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha, float beta)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_post_ops_append_eltwise(ops, kind, alpha, beta);
#else
    return dnnl_post_ops_append_eltwise(ops, 1.0f, kind, alpha, beta);
#endif
}
static inline dnnl_status_t kerb_dnn_post_sum(dnnl_post_ops_t ops)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef);
#else
    return dnnl_post_ops_append_sum(ops, 1.0f);
#endif
}

#endif
