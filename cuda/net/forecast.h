/* SPDX-License-Identifier: MIT */
/* Which convolution problems will the compiler ask plans for? Foreseen from the graph alone, by the rules for places that the compiler has (slices of
 * concatenations, padding, integers), so that plans can be made for all of them at once; and so that kerb-plans can prove them without a GPU.
 * A wrong guess costs a plan that nobody uses, and the right one is made when it is asked for. */
#ifndef KERB_CUDA_NET_FORECAST_H
#define KERB_CUDA_NET_FORECAST_H

#include "cuda/net/problem.h"

/* problem NULL: a convolution that is none for cuDNN, for this reason. False: no more are wanted. */
typedef bool (*KerbForecastFn)(void *user, const KerbNode *n, const KerbConvProblem *problem, const char *why);
/* Calls fn for every live convolution of an inferred, optimised graph, in order. MEMORY: no memory, or fn wanted no more. */
KerbStatus kerb_conv_forecast(const KerbGraph *g, KerbPrecision precision, KerbForecastFn fn, void *user, KerbError *error);
/* An own kernel does it: cuDNN is not asked. */
bool kerb_conv_is_depthwise(const KerbConvProblem *problem);

#endif
