/** An address to listen on, as it is given on the command line. */
import { isIP, isIPv6 } from "node:net";
import { type ListenAddress, PORT_MAX } from "../address.ts";
import type { Value } from "./values.ts";

/** The accepted forms of an address to listen on, for messages. */
export const LISTEN_ADDRESS_FORMS = "host:port, [v6]:port, or a port of 127.0.0.1";

const LOOPBACK = "127.0.0.1";
/** Groups: name or IPv4; IPv6 in brackets; port. Without a host, the address is the loopback's. */
const HOST_AND_PORT = /^(?:(?:([^\s:/@[\]?#]+)|\[([0-9a-fA-F:.]+)\]):)?(\d{1,5})$/;
/** A text that looks like an IPv4 address but is not one is no name either. */
const NUMBERS = /^[\d.]+$/;

/** Reads an address to listen on. Undefined: the text is no such address. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const [, name, v6, digits] = HOST_AND_PORT.exec(text) ?? [];
  if (digits === undefined || Number(digits) > PORT_MAX) return undefined;
  if (v6 !== undefined && !isIPv6(v6)) return undefined;
  if (name !== undefined && NUMBERS.test(name) && isIP(name) === 0) return undefined;
  return { host: name ?? v6 ?? LOOPBACK, port: Number(digits) };
}

/** The value of a flag that is an address to listen on. */
export const listenAddress: Value<ListenAddress> = { accepts: LISTEN_ADDRESS_FORMS, parse: parseListenAddress };
