/* bench_rows.c: the table of everything that is measured from memory (see
 * bench.h).  Targets are those that headgate set itself; docs/performance.md
 * says where they come from. */
#include "bench.h"

#define TEN(s) s s s s s s s s s s
#define CHECKED "CheckIP -> "

/* Who sends is known: 10.0.0.0/8 in a VPC over the whole address space. */
#define INVENTORY(file)                                                       \
    "MappingService map { file = { \"${" file "}\" } }\n"                     \
    "Identify who { }\n"
#define FIND "MappingLookup find { }\n"
#define KNOWN CHECKED "who -> "
#define ENCAP "Encap encap { format = geneve  local = 192.0.2.1 }\n"
#define TUNNELED KNOWN "find -> encap -> "
#define DECAP "Decap decap { format = geneve }\n"

#define NAT_OF(table)                                                         \
    "HyperplaneNAT nat { public = { 198.51.100.1, 198.51.100.2, "             \
    "198.51.100.3, 198.51.100.4 } table = " table " }\n"
#define NAT NAT_OF("flow-service")
#define NAT_OUT "[inside]nat[outside] -> "
#define NAT_IN "[outside]nat[inside] -> "

/* Not untracked: what may come in is less than everything. */
#define GROUP_OF(table)                                                       \
    "SecurityGroup sg {\n"                                                    \
    "    max-flows = 20000000  table = " table "\n"                           \
    "    group web {\n"                                                       \
    "        inbound { protocol = tcp  ports = 22  source = 10.0.0.0/8 }\n"   \
    "    }\n"                                                                 \
    "}\n"
#define GROUP GROUP_OF("flow-service")
#define GROUP_OUT "[egress]sg[egress] -> "
#define GROUP_IN "[ingress]sg[ingress] -> "

#define ACL(file) "NACL acl { quota = 32767  file = \"${" file "}\" }\n"
#define ACL_OUT "[outbound]acl[outbound] -> "
#define ACL_MORE "out -> [inbound]acl[inbound] -> in; acl[deny] -> out"

#define ROUTER                                                                \
    "RouteTable rt { file = \"${ROUTES}\"  cidr = 10.0.0.0/8\n"               \
    "    route 0.0.0.0/0 { target = up }\n"                                   \
    "    route ::/0 { target = up }\n"                                        \
    "}\n"

#define BALANCER                                                              \
    "NLB nlb {\n"                                                             \
    "    connections-per-target = 4000000\n"                                  \
    "    node a { address = { 198.51.100.10 } }\n"                            \
    "    listener 443 { protocol = udp  target-group = { web } }\n"           \
    "    target-group web {\n"                                                \
    "        target w1 { address = 10.0.1.5  port = 8443 }\n"                 \
    "        target w2 { address = 10.0.1.6  port = 8443 }\n"                 \
    "        target w3 { address = 10.0.1.7  port = 8443 }\n"                 \
    "        target w4 { address = 10.0.1.8  port = 8443 }\n"                 \
    "    }\n"                                                                 \
    "}\n"

#define LOG                                                                   \
    "FlowLogger log {\n"                                                      \
    "    log-destination = \"/dev/null\"  interface-id = eni-0a1\n"           \
    "    account-id = 111122223333  max-records = 20000000\n"                 \
    "    max-aggregation-interval = 60s  nodata = false\n"                    \
    "}\n"

#define SHARDS                                                                \
    "ShuffleShard shard {\n"                                                  \
    "    key = source  shard-size = 2\n"                                      \
    "    node n1 { zone = a }\n    node n2 { zone = a }\n"                    \
    "    node n3 { zone = b }\n    node n4 { zone = b }\n"                    \
    "}\n"
#define SHARDS_MORE "shard[n2] -> out; shard[n3] -> out; shard[n4] -> out"
#define SHARDS_SEES "shard[n1]+shard[n2]+shard[n3]+shard[n4]"

/* The same as that of a transit gateway's attachment: a VPC's own table would
 * have a local route to all that MappingLookup is to find. */
#define TRANSIT                                                               \
    "RouteTable rt {\n"                                                       \
    "    table transit { attachments = { vpc }  cidr = 10.0.0.0/8 file = "    \
    "\"${ROUTES}\"\n"                                                         \
    "        route 0.0.0.0/0 { target = up }\n"                               \
    "        route ::/0 { target = up }\n"                                    \
    "    }\n"                                                                 \
    "}\n"

/* The chain of a VPC's router: filters, route, NAT, log, mapping, tunnel. */
#define CHAIN_PARTS CHAIN_OF(GROUP)
#define CHAIN_OF(group)                                                       \
    INVENTORY("ENIS")                                                         \
    group TRANSIT NAT FIND ENCAP                                              \
        "Switch side { outputs = { nat, acl, groups, rt }  to = nat }\n"      \
        "NACL acl {\n"                                                        \
        "    quota = 200  file = \"${RULES_100}\"\n"                          \
        "    outbound 32766 { cidr = 0.0.0.0/0  action = allow }\n"           \
        "}\n"                                                                 \
        "FlowLogger log {\n"                                                  \
        "    log-destination = \"/dev/null\"  direction = egress\n"           \
        "    max-records = 20000000  nodata = false\n"                        \
        "}\n"
#define CHAIN_WAY                                                             \
    KNOWN GROUP_OUT ACL_OUT "[vpc]rt[up] -> " NAT_OUT                         \
                            "log -> find -> encap -> "
/* What comes back would make a cycle of the three if it passed all of them,
 * and packets would take it one by one. */
#define CHAIN_BACK "CheckIP -> side; side[nat] -> " NAT_IN
#define CHAIN_MORE                                                            \
    "side[acl] -> [inbound]acl[inbound] -> in; "                              \
    "side[groups] -> " GROUP_IN "in; "                                        \
    "side[rt] -> rt; "                                                        \
    "acl[deny] -> out; sg[deny] -> out; rt[local] -> out"
#define CHAIN_SEES                                                            \
    .sees = "encap.encapsulated",                                             \
    .holds = "sg.tracked nat.active_connection_count log.flows"

#define ONLY_FULL UINT32_MAX

/* Short for rows of elements that keep nothing about flows. */
#define ELEMENT .group = "element", .flows = 1000

const struct row bench_rows[] = {
    {ELEMENT, .name = "Interface, copy, parse, source to sink", .base = "",
     .declarations = "", .way = "", .whole = true},
    {ELEMENT, .name = "Pass, hop, batch untouched", .base = "",
     .declarations = "", .way = TEN("Pass -> Pass -> "), .times = 20,
     .target = 0.5},
    {ELEMENT, .name = "Look, hop, each packet looked at", .base = "",
     .declarations = "", .way = TEN("Look -> Look -> "), .times = 20,
     .target = 1.5},

    {ELEMENT, .name = "CheckIP", .base = "", .declarations = "",
     .way = TEN(CHECKED), .times = 10},
    {ELEMENT, .name = "Classifier, second of two filters", .base = "",
     .declarations = "Classifier x {\n"
                     "    match web { filter = \"tcp port 80\" }\n"
                     "    match dns { filter = \"udp\" }\n"
                     "}\n",
     .way = "x[dns] -> ", .more = "x[web] -> out; x[rest] -> out",
     .sees = "x[dns]"},
    {ELEMENT, .name = "Counter", .base = "", .declarations = "",
     .way = TEN("Counter -> "), .times = 10},
    {ELEMENT, .name = "DecTTL", .base = CHECKED, .declarations = "",
     .way = TEN("DecTTL -> "), .times = 10},
    {ELEMENT, .name = "Discard, from source to there", .base = "",
     .declarations = "Switch x { outputs = { a, b }  to = a }\n",
     .way = "x[b] -> ", .more = "x[a] -> Discard", .whole = true,
     .sees = "x[a]", .drops = true},
    {ELEMENT, .name = "EtherRewrite", .base = "",
     .declarations = "EtherRewrite x { src = 02:00:00:00:00:01  "
                     "dst = 02:00:00:00:00:02 }\n",
     .way = "x -> ", .sees = "x[out]"},
    {ELEMENT, .name = "Fragment, nothing to cut", .base = CHECKED,
     .declarations = "Fragment x { mtu = 1500 }\n", .way = "x -> ",
     .more = "x[too-big] -> Discard", .sees = "x[out]"},
    {ELEMENT, .name = "Hash, four outputs", .base = "",
     .declarations = "Hash x { outputs = 4 }\n", .way = "x[0] -> ",
     .more = "x[1] -> out; x[2] -> out; x[3] -> out",
     .sees = "x[0]+x[1]+x[2]+x[3]"},
    {ELEMENT, .name = "IcmpError, each packet answered", .base = CHECKED,
     .declarations = "IcmpError x { type = time-exceeded  source = 10.0.0.1"
                     "  rate = 1000000000pps  burst = 1000000 }\n",
     .way = "x -> ", .sees = "x.answered", .drops = true},
    {ELEMENT, .name = "Queue, with a Shaper, never full", .base = "",
     .declarations = "Shaper x { rate = 1000000000pps  burst = 1000000 }\n",
     .way = "Queue -> x -> ", .sees = "x.conforming"},
    {ELEMENT, .name = "Shaper, never over its rate", .base = "",
     .declarations = "Shaper x { rate = 100Gbps  burst = 1M }\n",
     .way = "x -> ", .sees = "x.conforming"},
    {ELEMENT, .name = "ShuffleShard", .base = CHECKED, .declarations = SHARDS,
     .way = "shard[n1] -> ", .more = SHARDS_MORE, .sees = SHARDS_SEES},
    {ELEMENT, .name = "Switch", .base = "",
     .declarations = "Switch x { outputs = { a, b }  to = b }\n",
     .way = "x[b] -> ", .more = "x[a] -> Discard", .sees = "x[b]"},
    {ELEMENT, .name = "Tee, second copy included", .base = "",
     .declarations = "Tee x { }\n", .way = "x[0] -> ", .more = "x[1] -> out",
     .sees = "x[1]"},
    {ELEMENT, .name = "Trace, to /dev/null", .base = CHECKED,
     .declarations = "Trace x { file = /dev/null }\n", .way = "x -> ",
     .sees = "x.printed", .packets = 50000},

    {ELEMENT, .name = "Identify, a thousand ENIs", .base = CHECKED,
     .declarations = INVENTORY("SENDERS"), .way = "who -> ",
     .traffic = traffic_senders, .tables = SENDERS, .size = N_SENDERS,
     .sees = "who[out]"},
    {ELEMENT, .name = "Encap, GENEVE", .base = KNOWN "find -> ",
     .declarations = ENCAP, .way = "encap -> ", .traffic = traffic_peers,
     .tables = SENDERS, .common = INVENTORY("SENDERS") FIND,
     .sees = "encap.encapsulated", .target = 10},
    {ELEMENT, .name = "Decap, GENEVE, sender verified", .base = TUNNELED,
     .declarations = DECAP, .way = "decap -> ", .traffic = traffic_peers,
     .tables = SENDERS, .common = INVENTORY("SENDERS") FIND ENCAP,
     .sees = "decap[out]", .target = 20},
    {.group = "element",
     .name = "MappingLookup, a million mappings",
     .base = KNOWN,
     .declarations = FIND,
     .way = "find -> ",
     .common = INVENTORY("ENIS"),
     .traffic = traffic_mappings,
     .flows = N_ENIS,
     .tables = ENIS,
     .size = N_ENIS,
     .sees = "find.hits",
     .target = 25},
    {.group = "element",
     .name = "MappingLookup, cached, 100 k mappings in use",
     .base = KNOWN,
     .declarations = "MappingLookup find { on-miss = query  "
                     "cache-size = 4194304  ttl = 1h  park-length = 65536 }\n",
     .way = "find -> ",
     .common = INVENTORY("ENIS"),
     .traffic = traffic_mappings,
     .flows = 100000,
     .flows_quick = ONLY_FULL,
     .tables = ENIS,
     .size = N_ENIS,
     .sees = "find.hits",
     .target = 25},

    {.group = "element",
     .name = "RouteTable, an Internet table",
     .base = CHECKED,
     .declarations = ROUTER,
     .way = "rt[up] -> ",
     .more = "rt[local] -> out",
     .traffic = traffic_routes,
     .flows = 1000000,
     .flows_quick = 500000,
     .tables = ROUTES,
     .sees = "rt[up]"},
    {.group = "element",
     .name = "CheckIP, DecTTL, RouteTable with an Internet table",
     .base = "",
     .declarations = ROUTER,
     .way = CHECKED "DecTTL -> rt[up] -> ",
     .more = "rt[local] -> out",
     .traffic = traffic_routes,
     .flows = 1000000,
     .flows_quick = 500000,
     .tables = ROUTES,
     .sees = "rt[up]",
     .target = 25},

#define ACL_ROW(file, n_rules, name_, goal)                                   \
    {                                                                         \
        .group = "element", .name = name_, .base = CHECKED,                   \
        .declarations = ACL(#file), .way = ACL_OUT, .more = ACL_MORE,         \
        .traffic = traffic_rules, .flows = 100000, .tables = file,            \
        .size = n_rules, .sees = "acl.allowed", .target = goal                \
    }
    ACL_ROW(RULES_10, 10, "NACL, 10 rules", 8),
    ACL_ROW(RULES_32, 32, "NACL, 32 rules", 8),
    ACL_ROW(RULES_100, 100, "NACL, 100 rules", 14),
    ACL_ROW(RULES_1K, 1000, "NACL, 1,000 rules", 30),
    ACL_ROW(RULES_10K, 10000, "NACL, 10,000 rules", 80),
    {.group = "element",
     .name = "NACL, 100 rules, from eight subnets",
     .base = KNOWN,
     .common = INVENTORY("SUBNETS"),
     .declarations = ACL("RULES_100"),
     .way = ACL_OUT,
     .more = ACL_MORE,
     .traffic = traffic_rules_senders,
     .flows = 100000,
     .tables = RULES_100 | SUBNETS,
     .size = 100,
     .sees = "acl.allowed",
     .target = 14},

#define GROUP_ROW_OF(table, name_, stage_, n, n_quick, goal, ...)             \
    {                                                                         \
        .group = "element", .name = name_, .stage = stage_, .base = CHECKED,  \
        .declarations = GROUP_OF(table), .way = GROUP_OUT, .back = GROUP_IN,  \
        .more = "sg[deny] -> out", .flows = n, .flows_quick = n_quick,        \
        .sees = "sg[egress]", .holds = "sg.tracked", .target = goal,          \
        __VA_ARGS__                                                           \
    }
/* A flow takes 24 bytes where nothing but it is kept; the flow service, which
 * keeps IPv6 and what others know of the flow as well, is the larger form. */
#define GROUP_ROWS(table, name, bytes_goal)                                   \
    GROUP_ROW_OF(table, name "established, 100 k flows", STEADY, 100000, 0,   \
                 0),                                                          \
        GROUP_ROW_OF(table, name "established, 1 M flows", STEADY, 1000000,   \
                     0, 28, .bytes = true, .bytes_target = bytes_goal),       \
        GROUP_ROW_OF(table, name "established, 10 M flows", STEADY, 10000000, \
                     ONLY_FULL, 35, .bytes = true,                            \
                     .bytes_target = bytes_goal),                             \
        GROUP_ROW_OF(table, name "new", NEW, 1000000, 200000, 300)
    GROUP_ROWS("flow-service", "SecurityGroup, ", 0),
    GROUP_ROWS("compact", "SecurityGroup compact, ", 24),

#define NAT_ROW_OF(table, name_, stage_, n, n_quick, seen, goal, ...)         \
    {                                                                         \
        .group = "element", .name = name_, .stage = stage_, .base = CHECKED,  \
        .declarations = NAT_OF(table), .way = NAT_OUT, .back = NAT_IN,        \
        .flows = n, .flows_quick = n_quick,                                   \
        .sees = "nat.packets_out_to_" seen,                                   \
        .holds = "nat.active_connection_count", .target = goal, __VA_ARGS__   \
    }
#define NAT_ROW(name, ...)                                                    \
    NAT_ROW_OF("flow-service", "HyperplaneNAT, " name, __VA_ARGS__)
#define COMPACT_ROW(name, ...)                                                \
    NAT_ROW_OF("compact", "HyperplaneNAT compact, " name, __VA_ARGS__)
    NAT_ROW("outbound, 100 k flows", STEADY, 100000, 0, "destination", 30),
    NAT_ROW("outbound, 1 M flows", STEADY, 1000000, 0, "destination", 50,
            .bytes = true),
    NAT_ROW("inbound, 100 k flows", ANSWER, 100000, 0, "source", 40),
    NAT_ROW("inbound, 1 M flows", ANSWER, 1000000, ONLY_FULL, "source", 40),
    NAT_ROW("new", NEW, 1000000, 200000, "destination", 350),
    COMPACT_ROW("outbound, 100 k flows", STEADY, 100000, 0, "destination", 30),
    COMPACT_ROW("outbound, 1 M flows", STEADY, 1000000, 0, "destination", 50,
                .bytes = true, .bytes_target = 24),
    COMPACT_ROW("inbound, 100 k flows", ANSWER, 100000, 0, "source", 40),
    COMPACT_ROW("inbound, 1 M flows", ANSWER, 1000000, ONLY_FULL, "source",
                40),
    COMPACT_ROW("new", NEW, 1000000, 200000, "destination", 350),

#define NLB_ROW(name_, stage_, n, n_quick, goal, ...)                         \
    {                                                                         \
        .group = "element", .name = "NLB, " name_, .stage = stage_,           \
        .base = CHECKED, .declarations = BALANCER,                            \
        .way = "[clients]nlb[targets] -> ",                                   \
        .back = "[targets]nlb[clients] -> ", .traffic = traffic_clients,      \
        .flows = n, .flows_quick = n_quick, .sees = "nlb.processed_packets",  \
        .holds = "nlb.active_flow_count", .target = goal, __VA_ARGS__         \
    }
    NLB_ROW("established, 100 k flows", STEADY, 100000, 0, 40),
    NLB_ROW("established, 1 M flows", STEADY, 1000000, ONLY_FULL, 40,
            .bytes = true),
    NLB_ROW("new", NEW, 1000000, 200000, 150),

#define LOG_ROW(name_, stage_, n, n_quick, seen, goal, ...)                   \
    {                                                                         \
        .group = "element", .name = "FlowLogger, " name_, .stage = stage_,    \
        .base = CHECKED, .declarations = LOG, .way = "log -> ", .flows = n,   \
        .flows_quick = n_quick, .sees = seen, .holds = "log.flows",           \
        .target = goal, __VA_ARGS__                                           \
    }
    LOG_ROW("update, 100 k flows", STEADY, 100000, 0, "log[out]", 15),
    LOG_ROW("update, 1 M flows", STEADY, 1000000, ONLY_FULL, "log[out]", 15,
            .bytes = true),
    LOG_ROW("text of a record", WINDOW, 100000, 0, "log.records", 60,
            .advance_s = 60),

#define CHAIN_ROW_OF(group_, name_, stage_, n, n_quick, goal, ...)            \
    {                                                                         \
        .group = "graph", .name = name_, .stage = stage_,                     \
        .declarations = CHAIN_OF(group_), .base = "", .way = CHAIN_WAY,       \
        .back = CHAIN_BACK, .more = CHAIN_MORE, .whole = true,                \
        .traffic = traffic_mappings, .flows = n, .flows_quick = n_quick,      \
        .tables = ENIS | ROUTES | RULES_100, .size = N_ENIS, CHAIN_SEES,      \
        .target = goal, __VA_ARGS__                                           \
    }
    {.group = "graph",
     .name = "nat-gateway.conf, 100 k flows",
     .graph = "graphs/nat-gateway.conf",
     .in = "inside",
     .whole = true,
     .flows = 100000,
     .sees = "nat.packets_out_to_destination"},
    {.group = "graph",
     .name = "nat-gateway.conf, 1 M flows",
     .graph = "graphs/nat-gateway.conf",
     .in = "inside",
     .whole = true,
     .flows = 1000000,
     .flows_quick = ONLY_FULL,
     .sees = "nat.packets_out_to_destination"},
    {.group = "graph",
     .name = "SecurityGroup and MappingLookup, 100 k flows",
     .base = "",
     .declarations = INVENTORY("ENIS") GROUP FIND,
     .way = KNOWN GROUP_OUT "find -> ",
     .more = "out -> " CHECKED GROUP_IN "in; sg[deny] -> out",
     .whole = true,
     .traffic = traffic_mappings,
     .flows = 100000,
     .tables = ENIS,
     .size = N_ENIS,
     .sees = "find.hits"},
#define CHAIN_ROW(...) CHAIN_ROW_OF(GROUP, __VA_ARGS__)
    CHAIN_ROW("VPC router, 100 k flows", STEADY, 100000, 0, 150),
    CHAIN_ROW("VPC router, 1 M flows", STEADY, 1000000, ONLY_FULL, 200),
#define COMPACT_CHAIN_ROW(...) CHAIN_ROW_OF(GROUP_OF("compact"), __VA_ARGS__)
    COMPACT_CHAIN_ROW("VPC router, SecurityGroup compact, 100 k flows", STEADY,
                      100000, ONLY_FULL, 150),
    COMPACT_CHAIN_ROW("VPC router, SecurityGroup compact, 1 M flows", STEADY,
                      1000000, ONLY_FULL, 200),

    {.group = "batch",
     .name = "nat-gateway.conf",
     .stage = BATCHES,
     .graph = "graphs/nat-gateway.conf",
     .in = "inside",
     .whole = true,
     .flows = 100000,
     .sees = "nat.packets_out_to_destination",
     .target = 3,
     .flows_quick = ONLY_FULL},
    {.group = "batch",
     .name = "VPC router",
     .stage = BATCHES,
     .declarations = CHAIN_PARTS,
     .base = "",
     .way = CHAIN_WAY,
     .back = CHAIN_BACK,
     .more = CHAIN_MORE,
     .whole = true,
     .traffic = traffic_mappings,
     .flows = 100000,
     .tables = ENIS | ROUTES | RULES_100,
     .size = N_ENIS,
     CHAIN_SEES,
     .target = 3,
     .flows_quick = ONLY_FULL,
     .packets = 100000},

#define START_ROW(name_, text, ...)                                           \
    {                                                                         \
        .group = "start", .name = name_, .stage = START,                      \
        .declarations = text, .bytes = true, __VA_ARGS__                      \
    }
    START_ROW("RouteTable, an Internet table", ROUTER, .base = CHECKED,
              .way = "rt[up] -> ", .more = "rt[local] -> out",
              .tables = ROUTES, .target = 0.5),
    START_ROW("NACL, 10,000 rules", ACL("RULES_10K"), .base = CHECKED,
              .way = ACL_OUT, .more = ACL_MORE, .tables = RULES_10K,
              .size = 10000, .target = 0.1),
    START_ROW("MappingService, a million ENIs", INVENTORY("ENIS"), .base = "",
              .way = "who -> ", .tables = ENIS, .size = N_ENIS, .target = 1,
              .flows_quick = ONLY_FULL),
};

const size_t n_bench_rows = sizeof bench_rows / sizeof bench_rows[0];

/* ---- Elements that cost nothing --------------------------------------- */

struct pass {
    uint64_t bytes;
};

static void
pass_batch(struct hg_element *element, struct hg_batch *batch)
{
    hg_pass(hg_element_self(element), 0, batch);
}

static void
look_batch(struct hg_element *element, struct hg_batch *batch)
{
    struct pass *self = hg_element_self(element);
    unsigned i;

    for (i = 0; i < batch->n; i++)
        self->bytes += batch->p[i]->data[0];
    hg_pass(self, 0, batch);
}

#define BENCH_CLASS(class_name, function)                                     \
    {                                                                         \
        .magic = HG_MAGIC, .abi = HG_ABI,                                     \
        .class_size = sizeof(struct hg_class), .name = class_name,            \
        .summary = "for measurements", .inputs = "in", .outputs = "out",      \
        .self_size = sizeof(struct pass), .batch = function                   \
    }

static const struct hg_class pass_class = BENCH_CLASS("Pass", pass_batch);
static const struct hg_class look_class = BENCH_CLASS("Look", look_batch);

void
bench_add_classes(struct hg_plugins *to)
{
    hg_plugins_add(to, &pass_class);
    hg_plugins_add(to, &look_class);
}
