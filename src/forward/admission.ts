/** Whether a request whose head is known is forwarded, whatever version of HTTP it is of, and what is edited in it. */
import type { StreamOrigin } from "../flow/stream.ts";
import { clientAddress } from "../http/client-address.ts";
import { editHead } from "../http/header-edits.ts";
import type { RequestHead } from "../http/request-sink.ts";
import type { RequestDrop } from "./counters.ts";
import type { HttpOptions } from "./http-options.ts";
import type { Request, RequestPool } from "./request.ts";

export interface AdmissionHost {
  readonly options: HttpOptions;
  readonly requests: RequestPool;
}

/** The client connection that a request is of. */
export interface Client {
  readonly origin: StreamOrigin;
  /** Its address as text; null: nobody has asked for it yet. */
  client: string | null;
}

/** Edits the request's head, of which all is held. Returns why it is dropped; null: it is forwarded. */
export function admit(host: AdmissionHost, stream: Client, request: Request, head: RequestHead): RequestDrop | null {
  request.method = head.method;
  request.minorVersion = head.minorVersion;
  request.isIdempotent = head.isIdempotent;
  request.wantsUpgrade = head.wantsUpgrade;
  request.isIsolated = head.isIsolated;
  request.headLength = head.headLength;
  const { headerEdits } = host.options;
  if (headerEdits === null) return null;
  const client = (stream.client ??= clientAddress(stream.origin.identity));
  const isEdited = host.requests.edit(request, (bytes) => editHead(bytes, headerEdits, client));
  return isEdited ? null : "loop";
}
