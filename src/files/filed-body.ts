/** A body in the form that files have: as text if it is text, and without secrets. */
import { BLOT, type Redactor } from "../redact/redactor.ts";

/** A body, in the form that files have. */
export interface FiledBody {
  readonly text: string;
  readonly isBase64: boolean;
}

/** `isCoded`: the content is compressed, and cannot be searched for secrets. */
export function filedBody(content: Uint8Array, isCoded: boolean, redactor: Redactor): FiledBody {
  if (isCoded && !redactor.showsAll) return { text: BLOT, isBase64: false };
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.length);
  const text = textOf(bytes);
  if (text !== null) return { text: redactor.content(text), isBase64: false };
  const plain = redactor.text(bytes.toString("latin1"));
  return { text: Buffer.from(plain, "latin1").toString("base64"), isBase64: true };
}

/** Bytes as text; null: they are no UTF-8. */
function textOf(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
