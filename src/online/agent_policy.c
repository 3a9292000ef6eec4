/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_policy.c - see agent_policy.h for the density. The tests compile this file a second time in
 * double. Sums are in double whatever the type of the arrays. */
#include "online/agent_policy.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_sf_gamma.h>
#include <math.h>

static const double LOG_2_PI = 1.8378770664093453;

/* log(1 + sum exp z_i) of z (D - 1): behind it stands the last slot's z, 0. */
static double log_total(size_t n, const real *z)
{
    double most = 0.0, sum = 0.0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, (double)z[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)z[i] - most);
    return most + log(sum + exp(-most));
}

void agent_policy_smooth(size_t n_slots, const double *mixture, real *action)
{
    const double share = 1e-3;
    for (size_t i = 0; i < n_slots; i++)
        action[i] = (real)((1.0 - share) * mixture[i] + share / (double)n_slots);
}

void agent_policy_mean(size_t n_slots, const real *mu, double *mixture)
{
    const double total = log_total(n_slots - 1, mu);
    for (size_t i = 0; i + 1 < n_slots; i++)
        mixture[i] = exp((double)mu[i] - total);
    mixture[n_slots - 1] = exp(-total);
}

double agent_policy_divergence(size_t n_slots, const real *action, const real *mu, double weight,
                               real *d_mu)
{
    const double total = log_total(n_slots - 1, mu);
    double sum = 0.0;
    for (size_t i = 0; i < n_slots; i++) {
        const double a = (double)action[i], z = i + 1 < n_slots ? (double)mu[i] : 0.0;
        if (a > 0.0)
            sum += a * (log(a) - z + total);
        if (d_mu != NULL && i + 1 < n_slots)
            d_mu[i] += (real)(weight * (exp(z - total) - a));
    }
    return sum;
}

double agent_policy_log_density(size_t n_slots, const real *mu, const real *log_sigma,
                                const real *action, double weight, real *d_mu, real *d_log_sigma)
{
    const double log_last = log((double)action[n_slots - 1]);
    double sum = -log_last;
    for (size_t i = 0; i + 1 < n_slots; i++) {
        const double log_a = log((double)action[i]), sigma = exp((double)log_sigma[i]);
        const double unit = (log_a - log_last - (double)mu[i]) / sigma;
        sum -= 0.5 * (unit * unit + LOG_2_PI) + (double)log_sigma[i] + log_a;
        if (d_mu != NULL)
            d_mu[i] += (real)(weight * unit / sigma);
        if (d_log_sigma != NULL)
            d_log_sigma[i] += (real)(weight * (unit * unit - 1.0));
    }
    return sum;
}

/* With z the place and t = log_total(z): log a_i = z_i - t, of which all D are taken away. */
double agent_policy_sample(size_t n_slots, const real *mu, const real *log_sigma, const real *noise,
                           real *action)
{
    double sum = 0.0;
    for (size_t i = 0; i + 1 < n_slots; i++) {
        const double unit = (double)noise[i];
        const double z = (double)mu[i] + exp((double)log_sigma[i]) * unit;
        action[i] = (real)z;
        sum -= 0.5 * (unit * unit + LOG_2_PI) + (double)log_sigma[i] + z;
    }
    const double total = log_total(n_slots - 1, action);
    for (size_t i = 0; i + 1 < n_slots; i++)
        action[i] = (real)exp((double)action[i] - total);
    action[n_slots - 1] = (real)exp(-total);
    return sum + (double)n_slots * total;
}

/* By z_i: of the loss a_i (d_i - a . d), of log pi D a_i - 1. z moves by 1 with mu, by sigma noise
 * with log sigma, which log pi also holds by itself. */
void agent_policy_sample_backward(size_t n_slots, const real *log_sigma, const real *noise,
                                  const real *action, const real *d_action, double d_log_density,
                                  real *d_mu, real *d_log_sigma)
{
    double along = 0.0;
    for (size_t i = 0; i < n_slots; i++)
        along += (double)action[i] * (double)d_action[i];
    for (size_t i = 0; i + 1 < n_slots; i++) {
        const double a = (double)action[i];
        const double d_z =
            a * ((double)d_action[i] - along) + d_log_density * ((double)n_slots * a - 1.0);
        d_mu[i] += (real)d_z;
        d_log_sigma[i] +=
            (real)(d_z * exp((double)log_sigma[i]) * (double)noise[i] - d_log_density);
    }
}

/* Exponential draws over their sum (Devroye 1986, XI.4.1). */
void agent_policy_uniform(size_t n_slots, gsl_rng *rng, real *action)
{
    double sum = 0.0;
    for (size_t i = 0; i < n_slots; i++) {
        const double draw = gsl_ran_exponential(rng, 1.0);
        action[i] = (real)draw;
        sum += draw;
    }
    for (size_t i = 0; i < n_slots; i++)
        action[i] = (real)((double)action[i] / sum);
}

double agent_policy_log_uniform(size_t n_slots)
{
    return gsl_sf_lngamma((double)n_slots);
}
