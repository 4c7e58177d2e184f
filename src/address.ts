/** Where requests go: a host's name or address, and a TCP port. */
export interface ForwardAddress {
  readonly host: string;
  readonly port: number;
}

const HTTP_PORT = 80;

/** The address as a Host field states it. */
export function hostField({ host, port }: ForwardAddress): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return port === HTTP_PORT ? name : `${name}:${port}`;
}
