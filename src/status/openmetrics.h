/*
 * SPDX-License-Identifier: ISC
 *
 * The state of an installation as OpenMetrics 1.0 text, which Prometheus reads, and node_exporter's textfile collector.
 * Names and labels: candhook(1), "Metrics".
 */
#ifndef CANDHOOK_OPENMETRICS_H
#define CANDHOOK_OPENMETRICS_H

#include "status/installation.h"

#define OPENMETRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Returns the text, allocated. What cannot be read (a spool, a database) is left out; candhook_database_up tells. */
char *openmetrics_text(const struct installation *installation);

#endif
