/** Responses as the comparison keeps them, made from texts. */
import { Kept } from "../../src/compare/response.ts";

export interface Given {
  code?: number;
  /** Lines of the header section. */
  fields?: readonly string[];
  body?: string | Uint8Array;
  /** The digest of a body that was not kept. */
  digest?: string | undefined;
  bodyLength?: number | undefined;
}

export function keptOf({ code = 200, fields = [], body = "", digest, bodyLength }: Given): Kept {
  const kept = new Kept();
  kept.code = code;
  kept.headBytes = Buffer.from([`HTTP/1.1 ${code} Whatever`, ...fields, "", ""].join("\r\n"), "latin1");
  kept.headLength = kept.headBytes.length;
  kept.bodyBytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  kept.keptLength = kept.bodyBytes.length;
  kept.bodyLength = bodyLength ?? kept.keptLength;
  kept.digest = digest ?? null;
  return kept;
}
