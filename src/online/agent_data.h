/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_data.h - what the parts of the agent share of its data. Private to
 * src/online/ and its tests. */
#ifndef MIXSWEEP_ONLINE_AGENT_DATA_H
#define MIXSWEEP_ONLINE_AGENT_DATA_H

#include "mixsweep/agent.h"

/** @return MIX_OK; MIX_EINVAL sizes or weights out of range (the sentence names
 * them) */
enum mix_status agent_space_check(const struct mix_agent_space *space, struct mix_error *err);

/** Mixtures (T,D) and feedback (T+1,D) of trajectory i, borrowed. */
const double *agent_mixtures(const struct mix_agent_data *data, size_t i);
const double *agent_feedback(const struct mix_agent_data *data, size_t i);

/** r_t (T) of trajectory i. */
void agent_rewards(const struct mix_agent_data *data, const struct mix_agent_scale *scale, size_t i,
                   double *reward);

/** u at the end of trajectory i. */
double agent_end(const struct mix_agent_data *data, const struct mix_agent_scale *scale, size_t i);

#endif
