/** Parses server-sent events from a byte stream, as the HTML standard defines. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

export interface ServerSentEvent {
  /** The last `id` seen on the stream. */
  readonly id: string | null;
  readonly event: string;
  readonly data: string;
}

/** Longer than any event of a hub, whose details have at most 16 KiB; protects against a stream that never ends an event. */
const EVENT_CHARACTERS_MAX = 65_536;

/**
 * Yields each event. `onBytes` is called for everything received, including keep-alive comments; `onPosition` with the `id` of what is no event,
 * because it has no data.
 */
export async function* readServerSentEvents(
  bytes: AsyncIterable<Uint8Array>,
  onBytes: () => void = () => undefined,
  onPosition: (id: string) => void = () => undefined,
): AsyncGenerator<ServerSentEvent, void> {
  const decoder = new TextDecoder();
  const lineEnd = /\r\n|\n|\r/g;
  /** The start of a line whose end has not arrived yet. */
  let rest = '';
  /** Whether the last character was a carriage return: a line feed after it belongs to the same line ending. */
  let isAfterReturn = false;
  let id: string | null = null;
  let event = '';
  let data: string[] = [];
  /** Of the complete lines of this event. */
  let characters = 0;
  for await (const chunk of bytes) {
    onBytes();
    const text = decoder.decode(chunk, { stream: true });
    if (text === '') continue;
    let from = isAfterReturn && text.startsWith('\n') ? 1 : 0;
    isAfterReturn = text.endsWith('\r');
    lineEnd.lastIndex = from;
    for (let end = lineEnd.exec(text); end !== null; end = lineEnd.exec(text)) {
      const line = rest + text.slice(from, end.index);
      from = end.index + end[0].length;
      rest = '';
      characters += line.length;
      checkLength(characters);
      if (line !== '') {
        const { field, value } = readLine(line);
        if (field === 'data') data.push(value);
        else if (field === 'event') event = value;
        else if (field === 'id' && !value.includes('\0')) id = value;
        continue;
      }
      if (data.length > 0) yield { id, event: event === '' ? 'message' : event, data: data.join('\n') };
      else if (id !== null) onPosition(id);
      event = '';
      data = [];
      characters = 0;
    }
    rest += text.slice(from);
    checkLength(characters + rest.length);
  }
}

function checkLength(characters: number): void {
  if (characters <= EVENT_CHARACTERS_MAX) return;
  throw new AgentcomError(
    'AC_API',
    `Expected events of at most ${EVENT_CHARACTERS_MAX} characters in the stream of the hub, found a longer one. Check what is between this program and the hub.`,
  );
}

function readLine(line: string): { readonly field: string; readonly value: string } {
  const colon = line.indexOf(':');
  if (colon === -1) return { field: line, value: '' };
  const value = line.slice(colon + 1);
  return { field: line.slice(0, colon), value: value.startsWith(' ') ? value.slice(1) : value };
}
