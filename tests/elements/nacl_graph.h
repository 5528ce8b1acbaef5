/* nacl_graph.h: the graph around the NACL that test_nacl*.c test. */
#ifndef NACL_GRAPH_H
#define NACL_GRAPH_H 1

#define PORTS                                                                 \
    "TestSource in {} TestSource out {} TestSink ok-in {} TestSink ok-out {}" \
    "\nTestSink no {}\n"
#define WIRES                                                                 \
    "\nconnect(\"in -> [inbound]dut[inbound] -> ok-in\")\n"                   \
    "connect(\"out -> [outbound]dut[outbound] -> ok-out\")\n"
#define GRAPH(options)                                                        \
    PORTS "NACL dut { " options " }" WIRES "connect(\"dut[deny] -> no\")"

#endif
