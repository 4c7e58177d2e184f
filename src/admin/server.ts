/**
 * The admin port: GET and HEAD of a table of pages, for a bounded number of clients. It is built on Bun.listen and not
 * on Bun.serve, which limits neither connections nor the time that a head may take (a byte a second keeps it waiting),
 * and accepts requests with bodies. Pages are made once for each look at the counters, however often they are asked
 * for.
 */
import type { Socket, TCPSocketListener } from "bun";
import { inUrl, type ListenAddress } from "../address.ts";
import { RefusalError } from "../errors.ts";
import { Client, type ClientHost } from "./client.ts";
import { adminCounters, type AdminReject } from "./counters.ts";
import { ownerOf } from "./port-owner.ts";
import type { RequestHead } from "./request-head.ts";
import { encode, type Encoded, type Page, told } from "./response.ts";

/** The most open connections: beyond it, the oldest one without a whole request gives way. */
export const CONNECTIONS_MAX = 64;
/** How often time limits are looked at. */
const TICK_MS = 250;

/** One page of the admin port. */
export interface Route {
  /** Makes the page. */
  page(): Page;
  /** Header fields of this page alone. */
  readonly fields?: string;
}

/** Pages by path. */
export type Routes = ReadonlyMap<string, Route>;

const REJECTIONS: Partial<Record<AdminReject, Page>> = {
  header_limit: told(431, "The request's head is too long"),
  time_limit: told(408, "The request's head did not come in time"),
  malformed: told(400, "This is not an HTTP/1 request"),
  method: told(405, "Only GET and HEAD are served here"),
};
const ALLOW = "Allow: GET, HEAD\r\n";

/** Words for the system's errors; for other errors, the code is shown. */
const REASONS: Record<string, string> = {
  EADDRNOTAVAIL: "this host has no such address",
  EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE",
};

/** The listening socket, and its connections. */
export class AdminServer implements ClientHost {
  readonly counters = adminCounters();
  private readonly clients = new Set<Client>();
  private readonly made = new Map<string, Encoded>();
  private readonly notFound: Page;
  private readonly listener: TCPSocketListener<Client>;
  private readonly ticker: ReturnType<typeof setInterval>;

  /** Listens. `now`: milliseconds. Throws RefusalError. */
  constructor(
    address: ListenAddress,
    private readonly routes: Routes,
    private readonly now: () => number,
  ) {
    this.notFound = told(404, `There is no such page here; there are ${[...routes.keys()].join(", ")}`);
    this.listener = this.listen(address);
    this.ticker = setInterval(() => this.tick(), TICK_MS);
  }

  /** The port that it listens on; if 0 was given, the one that the system has chosen. */
  get port(): number {
    return this.listener.port;
  }

  get openCount(): number {
    return this.clients.size;
  }

  /** The content of the pages has changed. */
  renew(): void {
    this.made.clear();
  }

  close(): void {
    clearInterval(this.ticker);
    this.listener.stop(true);
    this.clients.clear();
  }

  respond({ method, path }: RequestHead): Uint8Array {
    if (method !== "GET" && method !== "HEAD") return this.reject("method");
    const page = this.find(path);
    if (page === undefined) return this.reject("not_found");
    this.counters.requests++;
    return method === "GET" ? page.whole : page.head;
  }

  reject(reason: AdminReject): Uint8Array {
    this.counters.rejected[reason]++;
    const page = reason === "not_found" ? this.notFound : REJECTIONS[reason];
    return page === undefined ? new Uint8Array(0) : encode(page, reason === "method" ? ALLOW : "").whole;
  }

  forget(client: Client): void {
    this.clients.delete(client);
  }

  private find(path: string): Encoded | undefined {
    const known = this.made.get(path);
    const route = this.routes.get(path);
    if (known !== undefined || route === undefined) return known;
    const made = encode(route.page(), route.fields);
    this.made.set(path, made);
    return made;
  }

  private accept(socket: Socket<Client>): void {
    this.counters.connections++;
    if (this.clients.size >= CONNECTIONS_MAX) this.makeRoom();
    socket.data = new Client(this, socket, this.now());
    this.clients.add(socket.data);
  }

  /** Connections with a whole request are served if possible: a health check is, while others send a byte a second. */
  private makeRoom(): void {
    let [oldest] = this.clients;
    for (const client of this.clients) {
      if (!client.isAsking) continue;
      oldest = client;
      break;
    }
    oldest?.end("connection_limit");
  }

  private tick(): void {
    const nowMs = this.now();
    for (const client of this.clients) client.tick(nowMs);
  }

  private listen({ host, port }: ListenAddress): TCPSocketListener<Client> {
    try {
      return Bun.listen<Client>({
        hostname: host,
        port,
        allowHalfOpen: true,
        socket: {
          open: (socket) => this.accept(socket),
          data: (socket, bytes) => socket.data.received(bytes, this.now()),
          drain: ({ data }) => data.writable(),
          end: ({ data }) => data.ended(),
          close: ({ data }) => data?.closed(),
          error: ({ data }) => data?.closed(),
        },
      });
    } catch (error) {
      throw new RefusalError(`Cannot listen on ${inUrl(host)}:${port} (--admin): ${whyNot(error, port)}`);
    }
  }
}

function whyNot(error: unknown, port: number): string {
  const { code, message } = error as Partial<NodeJS.ErrnoException>;
  if (code === "EADDRINUSE") return `${ownerOf(port) ?? "another program"} has that port; choose another`;
  return REASONS[code ?? ""] ?? (code === undefined ? `${message}: is there such a host?` : code);
}
