/** Ports for the programs of a test. */
import { readFileSync } from "node:fs";

/** Below the kernel's ports for connections: so no connection takes a port before or after a program listens on it. */
const PORTS_FIRST = 10_240;
const PORTS_END = Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s/)[0]);
let next = PORTS_FIRST + Math.floor(Math.random() * (PORTS_END - PORTS_FIRST));

/** A port of 127.0.0.1 without a listener, another one each time. */
export function freePort(): number {
  for (let tries = PORTS_FIRST; tries < PORTS_END; tries++) {
    const port = next;
    next = port + 1 < PORTS_END ? port + 1 : PORTS_FIRST;
    if (isFree(port)) return port;
  }
  throw new Error(`something listens on each port from ${PORTS_FIRST} to ${PORTS_END - 1}`);
}

function isFree(port: number): boolean {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}
