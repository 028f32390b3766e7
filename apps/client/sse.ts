/** Parses server-sent events from a byte stream, as the HTML standard defines. */

export interface ServerSentEvent {
  /** The last `id` seen on the stream. */
  readonly id: string | null;
  readonly event: string;
  readonly data: string;
}

/** Longer than any event; protects against a stream that never ends a line. */
const EVENT_CHARACTERS_MAX = 16_777_216;

/** Yields each event. `onBytes` is called for everything received, including keep-alive comments. */
export async function* readServerSentEvents(
  bytes: AsyncIterable<Uint8Array>,
  onBytes: () => void = () => undefined,
): AsyncGenerator<ServerSentEvent, void> {
  const decoder = new TextDecoder();
  let rest = '';
  let id: string | null = null;
  let event = '';
  let data: string[] = [];
  for await (const chunk of bytes) {
    onBytes();
    rest += decoder.decode(chunk, { stream: true });
    if (rest.length > EVENT_CHARACTERS_MAX) throw new Error(`an event is longer than ${EVENT_CHARACTERS_MAX} characters`);
    // A carriage return at the end may be the first half of a line ending.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { id, event: event === '' ? 'message' : event, data: data.join('\n') };
        event = '';
        data = [];
        continue;
      }
      const { field, value } = readLine(line);
      if (field === 'data') data.push(value);
      else if (field === 'event') event = value;
      else if (field === 'id' && !value.includes('\0')) id = value;
    }
  }
}

function readLine(line: string): { readonly field: string; readonly value: string } {
  const colon = line.indexOf(':');
  if (colon === -1) return { field: line, value: '' };
  const value = line.slice(colon + 1);
  return { field: line.slice(0, colon), value: value.startsWith(' ') ? value.slice(1) : value };
}
