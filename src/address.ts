/** The address of a destination: a host's name or address, a TCP port, and whether TLS is spoken there; or a file. */
export interface ForwardAddress {
  readonly host: string;
  readonly port: number;
  /** TLS (https://); else plain TCP. */
  readonly isSecure?: boolean;
  /** The file's path: requests are written to it, and host and port have no meaning. */
  readonly file?: string;
}

/** The address that the program listens on. Port 0: a free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** The highest port. */
export const PORT_MAX = 65_535;
/** The port of http:// addresses without one (RFC 9110, section 4.2.1). */
export const HTTP_PORT = 80;
/** The port of https:// addresses without one (RFC 9110, section 4.2.2). */
export const HTTPS_PORT = 443;

/** All destinations of a run: the endpoint, and the further ones. */
export function destinationsOf(run: { address: ForwardAddress; also: readonly ForwardAddress[] }): ForwardAddress[] {
  return [run.address, ...run.also];
}

/** Whether some destination is a file. */
export function hasFile(destinations: readonly ForwardAddress[]): boolean {
  return destinations.some(({ file }) => file !== undefined);
}

/** Whether some destination speaks TLS. */
export function hasTls(destinations: readonly ForwardAddress[]): boolean {
  return destinations.some(({ isSecure }) => isSecure === true);
}

/** The address as a Host field states it. */
export function hostField({ host, port, isSecure }: ForwardAddress): string {
  return port === (isSecure === true ? HTTPS_PORT : HTTP_PORT) ? inUrl(host) : `${inUrl(host)}:${port}`;
}

/** The address as messages and counters name it. */
export function addressName({ host, port, isSecure, file }: ForwardAddress): string {
  if (file !== undefined) return `file:${file}`;
  return `${isSecure === true ? "https://" : ""}${inUrl(host)}:${port}`;
}

/** A host as a URL shows it: IPv6 in brackets. */
export function inUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
