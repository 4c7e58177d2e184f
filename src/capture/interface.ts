/** What the kernel says of a network interface beside its frames. */
import { readFileSync } from "node:fs";

const IFF_UP = 1;

/** False: it was set down, and captures nothing until it is up again; libpcap says nothing of that. */
export function isInterfaceUp(name: string): boolean {
  try {
    return (Number(readFileSync(`/sys/class/net/${name}/flags`, "utf8")) & IFF_UP) !== 0;
  } catch {
    // `any`, or one that is gone: that is told by who reads from it.
    return true;
  }
}
