/** The endpoint as it is given on the command line. */
import { isIPv6 } from "node:net";
import type { ForwardAddress } from "../address.ts";

export const FORWARD_ADDRESS_FORMS = "host:port, http://host[:port] or [v6]:port";

const HTTP_PORT = 80;
const PORT_MAX = 65_535;
/** Groups: name or IPv4; IPv6 in brackets; port. */
const HOST_AND_PORT = /^(?:([^\s:/@[\]?#]+)|\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\])(?::(\d{1,5}))?$/;

/** Reads a forward_addr. Undefined: it is none. */
export function parseForwardAddress(text: string): ForwardAddress | undefined {
  const isUrl = /^http:\/\//i.test(text);
  const match = HOST_AND_PORT.exec(isUrl ? text.slice("http://".length).replace(/\/$/, "") : text);
  if (match === null) return undefined;
  const [, name, v6, digits] = match;
  if (digits === undefined && !isUrl) return undefined;
  // A zone may follow the address (RFC 4007, section 11).
  if (v6 !== undefined && !isIPv6(v6.split("%", 1)[0]!)) return undefined;
  const port = digits === undefined ? HTTP_PORT : Number(digits);
  if (port < 1 || port > PORT_MAX) return undefined;
  return { host: (v6 ?? name)!, port };
}
