/* nlb_probe.h: the health of NLB's targets: what a check's end means for
 * them, and the checks themselves in live graphs.
 *
 * Checks run on an event base of their own, which a timer of the element
 * polls.  A TCP check is good when the target accepts the connection, an HTTP
 * check when it answers with one of the status codes asked for.  Targets that
 * take PROXY headers get one that says LOCAL. */
#ifndef NLB_PROBE_H
#define NLB_PROBE_H 1

#include <netinet/in.h>
#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include <headgate/proxy_v2.h>

#include "nlb.h"

#define PROBE_TICK_NS (100 * HG_MSEC)

/* ---- States ----------------------------------------------------------- */

static void
count_hosts(struct nlb *self)
{
    size_t i;

    self->healthy_host_count.n = self->unhealthy_host_count.n = 0;
    for (i = 0; i < self->target_group.n; i++) {
        uint32_t n, healthy;

        hg_target_health(self->groups[i].targets, &n, &healthy);
        self->healthy_host_count.n += healthy;
        self->unhealthy_host_count.n += n - healthy;
    }
}

/* Puts a target into a state that ends by itself after 'after_ns'. */
static void
drain_target(struct nlb *self, struct group *group, uint32_t number,
             enum hg_target_state state, uint64_t after_ns)
{
    struct hg_target *target = hg_target_at(group->targets, number);

    hg_target_set_state(group->targets, number, state);
    target->ends_ns = hg_now(self) + (after_ns ? after_ns : 1);
    if (target->ends_ns < self->ending.deadline_ns || !self->ending.pending)
        hg_timer_set(self, &self->ending, target->ends_ns);
}

/* Makes a registered target healthy or not. */
static void
set_health(struct nlb *self, struct group *group, uint32_t number,
           bool is_healthy)
{
    struct hg_target *target = hg_target_at(group->targets, number);

    if (is_healthy) {
        hg_target_set_state(group->targets, number, HG_TARGET_HEALTHY);
        target->ends_ns = HG_NEVER;
    } else if (target->state == HG_TARGET_HEALTHY &&
               group->row->unhealthy_termination) {
        drain_target(self, group, number, HG_TARGET_UNHEALTHY_DRAINING,
                     group->row->unhealthy_drain.ns);
    } else if (target->state != HG_TARGET_UNHEALTHY_DRAINING) {
        hg_target_set_state(group->targets, number, HG_TARGET_UNHEALTHY);
    }
    count_hosts(self);
}

/* A check has ended.  The first good one makes a new target healthy. */
static void
take_result(struct nlb *self, struct group *group, uint32_t number,
            bool is_good)
{
    const struct group_row *row = group->row;
    struct hg_target *target = hg_target_at(group->targets, number);
    unsigned needed =
        target->state == HG_TARGET_INITIAL ? 1 : row->healthy_threshold;

    target->successes = is_good ? target->successes + 1 : 0;
    target->failures = is_good ? 0 : target->failures + 1;
    if (target->state == HG_TARGET_HEALTHY || !is_good) {
        if (target->failures >= row->unhealthy_threshold)
            set_health(self, group, number, false);
    } else if (target->successes >= needed) {
        set_health(self, group, number, true);
    }
}

/* ---- Checks ----------------------------------------------------------- */

struct probe {
    struct nlb *self;
    struct group *group;
    uint32_t target;
    struct bufferevent *connection; /* NULL: none is under way. */
    uint64_t began_ns;
    uint64_t next_ns;
};

static void
end_probe(struct probe *probe, bool is_good)
{
    bufferevent_free(probe->connection);
    probe->connection = NULL;
    take_result(probe->self, probe->group, probe->target, is_good);
}

static bool
is_status_good(const struct group_row *row, const char *line)
{
    unsigned status;
    size_t i;

    if (sscanf(line, "HTTP/1.%*1[01] %3u", &status) != 1)
        return false;
    for (i = 0; i < row->health_check_matcher.n; i++)
        if (row->health_check_matcher.v[i].low <= status &&
            status <= row->health_check_matcher.v[i].high)
            return true;
    return false;
}

static void
probe_readable(struct bufferevent *connection, void *probe_)
{
    struct probe *probe = probe_;
    char *line = evbuffer_readln(bufferevent_get_input(connection), NULL,
                                 EVBUFFER_EOL_CRLF);

    if (!line)
        return;
    end_probe(probe, is_status_good(probe->group->row, line));
    free(line);
}

/* All has been written: of a TCP check that is the end. */
static void
probe_written(struct bufferevent *connection, void *probe_)
{
    struct probe *probe = probe_;

    (void)connection;
    if (probe->group->row->health_check == CHECK_TCP)
        end_probe(probe, true);
}

static void
probe_event(struct bufferevent *connection, short events, void *probe_)
{
    struct probe *probe = probe_;
    const struct group_row *row = probe->group->row;
    uint8_t local[HG_PROXY_V2_LOCAL_LEN];

    if (!(events & BEV_EVENT_CONNECTED)) {
        end_probe(probe, false);
        return;
    }
    if (row->health_check == CHECK_TCP && !row->proxy_protocol_v2) {
        end_probe(probe, true);
        return;
    }
    if (row->proxy_protocol_v2) {
        hg_proxy_v2_write_local(local);
        bufferevent_write(connection, local, sizeof local);
    }
    if (row->health_check == CHECK_HTTP) {
        const struct hg_target *target =
            hg_target_at(probe->group->targets, probe->target);
        char host[HG_ADDR_STRLEN];

        hg_addr_format(&target->addr, host);
        evbuffer_add_printf(bufferevent_get_output(connection),
                            "GET %s HTTP/1.1\r\nHost: %s\r\n"
                            "User-Agent: ELB-HealthChecker/2.0\r\n"
                            "Connection: close\r\n\r\n",
                            row->health_check_path, host);
    }
}

static socklen_t
socket_address(const struct hg_target *target, uint16_t port,
               struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof *out);
    if (target->addr.family == 4) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        memcpy(&v4->sin_addr, target->addr.byte, 4);
        return sizeof *v4;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    memcpy(&v6->sin6_addr, target->addr.byte, 16);
    return sizeof *v6;
}

static void
begin_probe(struct nlb *self, struct probe *probe, uint64_t now_ns)
{
    const struct group_row *row = probe->group->row;
    const struct hg_target *target =
        hg_target_at(probe->group->targets, probe->target);
    struct sockaddr_storage to;
    socklen_t len = socket_address(
        target, row->health_check_port ? row->health_check_port : target->port,
        &to);

    probe->began_ns = now_ns;
    probe->next_ns = now_ns + row->health_check_interval.ns;
    probe->connection =
        bufferevent_socket_new(self->base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (!probe->connection)
        return;
    bufferevent_setcb(probe->connection, probe_readable, probe_written,
                      probe_event, probe);
    bufferevent_enable(probe->connection, EV_READ | EV_WRITE);
    if (bufferevent_socket_connect(probe->connection, (struct sockaddr *)&to,
                                   (int)len) < 0 &&
        probe->connection)
        end_probe(probe, false);
}

static uint64_t
probe_timeout(const struct group_row *row)
{
    if (row->health_check_timeout.ns)
        return row->health_check_timeout.ns;
    return row->health_check == CHECK_HTTP ? 6 * HG_SEC : 10 * HG_SEC;
}

/* Begins the checks of a group that are due, and ends those that take too
 * long or are of targets that went away. */
static void
look_after_probes(struct nlb *self, struct group *group, uint64_t now_ns)
{
    uint32_t i, n = hg_target_count(group->targets);

    for (i = 0; i < n; i++) {
        struct probe *probe = &group->probes[i];
        bool is_wanted =
            hg_target_at(group->targets, i)->state < HG_TARGET_DRAINING;

        if (probe->connection && !is_wanted) {
            bufferevent_free(probe->connection);
            probe->connection = NULL;
        } else if (probe->connection &&
                   now_ns >= probe->began_ns + probe_timeout(group->row)) {
            end_probe(probe, false);
        } else if (!probe->connection && is_wanted &&
                   now_ns >= probe->next_ns) {
            probe->self = self;
            probe->group = group;
            probe->target = i;
            begin_probe(self, probe, now_ns);
        }
    }
}

static void
probes_tick(void *self_, struct hg_timer *timer, uint64_t now_ns)
{
    struct nlb *self = self_;
    size_t i;

    for (i = 0; i < self->target_group.n; i++)
        if (self->groups[i].probes)
            look_after_probes(self, &self->groups[i], now_ns);
    event_base_loop(self->base, EVLOOP_NONBLOCK);
    hg_timer_set(self, timer, now_ns + PROBE_TICK_NS);
}

static bool
probes_start(struct nlb *self, struct hg_error *error)
{
    bool any = false;
    size_t i;

    for (i = 0; i < self->target_group.n && hg_is_live(self); i++) {
        struct group *group = &self->groups[i];

        if (group->row->health_check == CHECK_OFF)
            continue;
        any = true;
        group->probes = calloc(HG_TARGETS_MAX, sizeof *group->probes);
        if (!group->probes)
            return hg_error_set(error, "no memory for health checks");
    }
    if (!any)
        return true;
    self->base = event_base_new();
    if (!self->base)
        return hg_error_set(error, "no event base for health checks");
    hg_timer_init(self, &self->probing, probes_tick);
    hg_timer_set(self, &self->probing, hg_now(self) + 1);
    return true;
}

static void
probes_free(struct nlb *self)
{
    size_t i, k;

    for (i = 0; self->groups && i < self->target_group.n; i++) {
        struct probe *probes = self->groups[i].probes;

        for (k = 0; probes && k < HG_TARGETS_MAX; k++)
            if (probes[k].connection)
                bufferevent_free(probes[k].connection);
        free(probes);
    }
    if (self->base)
        event_base_free(self->base);
}

#endif
