/** A destination as it is given on the command line. */
import { isIPv6 } from "node:net";
import { type ForwardAddress, HTTP_PORT, HTTPS_PORT, PORT_MAX } from "../address.ts";
import type { Value } from "./values.ts";

/** The accepted forms of a forward_addr, for messages. */
export const FORWARD_ADDRESS_FORMS =
  "host:port, [v6]:port, http://host[:port], https://host[:port], file:PATH.ndjson or file:PATH.har";

/** Group: the path. */
const FILE = /^file:(.*[^/]\.(?:ndjson|har))$/s;
/** Stands in place of a file's host. */
const NO_HOST = "127.0.0.1";

/** Groups: the s of https; the text behind the scheme. */
const URL = /^http(s?):\/\/(.*?)\/?$/i;
/** Groups: name or IPv4; IPv6 in brackets; port. */
const HOST_AND_PORT = /^(?:([^\s:/@[\]?#]+)|\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\])(?::(\d{1,5}))?$/;

/** Reads a forward_addr. Undefined: the text is no forward_addr. */
export function parseForwardAddress(text: string): ForwardAddress | undefined {
  const file = FILE.exec(text)?.[1];
  if (file !== undefined) return { host: NO_HOST, port: 0, file };
  const url = URL.exec(text);
  const match = HOST_AND_PORT.exec(url === null ? text : url[2]!);
  if (match === null) return undefined;
  const [, name, v6, digits] = match;
  if (digits === undefined && url === null) return undefined;
  // A zone may follow the address (RFC 4007, section 11).
  if (v6 !== undefined && !isIPv6(v6.split("%", 1)[0]!)) return undefined;
  const isSecure = url !== null && url[1] !== "";
  const port = digits === undefined ? (isSecure ? HTTPS_PORT : HTTP_PORT) : Number(digits);
  if (port < 1 || port > PORT_MAX) return undefined;
  return { host: (v6 ?? name)!, port, ...(isSecure ? { isSecure } : {}) };
}

/** The value of a flag or argument that is a destination. */
export const forwardAddress: Value<ForwardAddress> = { accepts: FORWARD_ADDRESS_FORMS, parse: parseForwardAddress };
