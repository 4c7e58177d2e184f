/**
 * What DESIGN.md's section Reassembly asks for and the flow table does not do yet. Each of these is a
 * fault that the simulator found, as short as it can be told; `test.failing` complains when one is mended.
 */
import { expect, test } from "bun:test";
import { data, type Event, fin, FLUSH, Flows, type FlowsOptions, pause, syn } from "./flows.ts";

function fault(name: string, events: Event[], streams: string[], options: FlowsOptions = {}): void {
  test.failing(name, () => {
    expect(new Flows(options).play(...events).streams).toEqual(streams);
  });
}

// AVOIDED.synAgain
fault("a late copy of a SYN does not open the next connection", [syn(0), fin(1), syn(0), data(50_001, "x", { acknowledgment: 900_000_000 }), pause(1000)], ["SYN fin", "- x …"]);
fault("a late copy of a SYN does not open the next connection before its own SYN does", [syn(0), fin(1), syn(0), data(50_001, "x", { acknowledgment: 900_000_000 }), syn(50_000), pause(1000)], ["SYN fin", "SYN x …"]);

fault("a late copy of a SYN does not open the next connection that waits for its own", [syn(0), fin(1), data(5001, "x"), syn(0), syn(5000)], ["SYN fin", "SYN x …"]);

// AVOIDED.twoWithoutSyn
fault("bytes below a FIN are its flow's, though another waits for its SYN", [data(5001, "abc"), fin(5010), data(9001, "x"), data(5004, "defghi"), FLUSH], ["- abcdefghi fin", "- x flushed"]);
