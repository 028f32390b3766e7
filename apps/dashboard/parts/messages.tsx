/** Short messages about what the user just did, in a corner. Screen readers read them out. */
import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { LineText } from './untrusted-text.tsx';

interface Message {
  readonly id: number;
  readonly text: string;
  readonly kind: 'good' | 'bad';
}

const SHOWN_MS = 6_000;
const SHOWN_MAX = 4;
const messages = signal<readonly Message[]>([]);
let lastId = 0;

export function say(text: string, kind: Message['kind'] = 'good'): void {
  lastId += 1;
  const id = lastId;
  messages.value = [...messages.value, { id, text, kind }].slice(-SHOWN_MAX);
  setTimeout(() => (messages.value = messages.value.filter((message) => message.id !== id)), SHOWN_MS);
}

/** Runs an action of the user and says how it went. Resolves to whether it succeeded. */
export async function attempt(done: string, action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action();
    say(done);
    return true;
  } catch (thrown) {
    say(thrown instanceof Error ? thrown.message : String(thrown), 'bad');
    return false;
  }
}

export const Messages = (): JSX.Element => (
  <div class="messages" role="status" aria-live="polite">
    {messages.value.map(({ id, text, kind }) => (
      <p key={id} class={`message is-${kind}`}>
        <LineText text={text} />
      </p>
    ))}
  </div>
);
