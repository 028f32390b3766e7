/** Creates a token and shows it once: it is kept only in this dialog, and is gone when that is closed. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { TokenJson } from '../../client/types.ts';
import { HubError, sendRequest } from '../hub/hub-requests.ts';
import { attempt } from '../parts/messages.tsx';
import { Modal } from '../parts/modal.tsx';
import { TimeChoice, type TimeChoices } from '../parts/time-choice.tsx';
import { LineText } from '../parts/untrusted-text.tsx';

const ROLES = ['viewer', 'operator', 'submitter', 'admin'] as const;
const DAY_MS = 86_400_000;
const LIFETIMES: TimeChoices = [
  ['until it is revoked', undefined],
  ['for 1 day', DAY_MS],
  ['for 30 days', 30 * DAY_MS],
  ['for 365 days', 365 * DAY_MS],
];
const EMPTY = {
  isForAgent: false,
  name: '',
  role: 'viewer',
  agentId: '',
  capabilities: '',
  slots: '',
  /** Undefined: until it is revoked. */
  lifetimeMs: undefined as number | undefined,
};
type Draft = typeof EMPTY;

function bodyOf({ isForAgent, name, role, agentId, capabilities, slots, lifetimeMs }: Draft): Readonly<Record<string, unknown>> {
  const words = capabilities.split(/[\s,]+/).filter(Boolean);
  return {
    ...(isForAgent
      ? {
          agent_id: agentId.trim(),
          capabilities: words.length === 0 ? undefined : words,
          max_slots: slots === '' ? undefined : Number(slots),
        }
      : { name: name.trim(), role }),
    expires_in_ms: lifetimeMs,
  };
}

/** What went wrong, for people. Without an answer, the hub may have created a token that nobody knows. */
const errorText = (thrown: unknown): string =>
  thrown instanceof HubError && thrown.status === 0
    ? `${thrown.message} It may have created the token: look in the list, and revoke it there.`
    : thrown instanceof Error
      ? thrown.message
      : String(thrown);

export function NewToken({ onSent, onClose }: NewTokenProps): JSX.Element {
  const [draft, setDraft] = useState(EMPTY);
  const [created, setCreated] = useState<TokenJson | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const text = (name: 'name' | 'role' | 'agentId' | 'capabilities' | 'slots') => ({
    value: draft[name],
    onInput: (event: { readonly currentTarget: { readonly value: string } }) => setDraft({ ...draft, [name]: event.currentTarget.value }),
  });
  const create = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      setCreated(await sendRequest<TokenJson>('POST', '/admin/tokens', { body: bodyOf(draft) }));
    } catch (thrown) {
      setError(errorText(thrown));
    } finally {
      setBusy(false);
      onSent();
    }
  };
  return (
    <Modal title="Create a token" onClose={onClose}>
      {created !== null && <ShownOnce token={created} />}
      {created === null && (
        <form
          class="token-form"
          autocomplete="off"
          onSubmit={(event) => {
            event.preventDefault();
            void create();
          }}
        >
          <label>
            For
            <select
              value={draft.isForAgent ? 'agent' : 'other'}
              onChange={(event) => setDraft({ ...draft, isForAgent: event.currentTarget.value === 'agent' })}
            >
              <option value="other">a person or a program</option>
              <option value="agent">an agent</option>
            </select>
          </label>
          {draft.isForAgent ? (
            <>
              <label>
                Agent ID
                <input required {...text('agentId')} />
              </label>
              <label>
                At most these capabilities
                <input placeholder="any" {...text('capabilities')} />
              </label>
              <label>
                At most this many slots
                <input type="number" min="1" placeholder="16" {...text('slots')} />
              </label>
            </>
          ) : (
            <>
              <label>
                Name
                <input required {...text('name')} />
              </label>
              <label>
                Role
                <select {...text('role')}>
                  {ROLES.map((role) => (
                    <option key={role}>{role}</option>
                  ))}
                </select>
              </label>
            </>
          )}
          <TimeChoice
            label="Valid"
            choices={LIFETIMES}
            value={draft.lifetimeMs}
            onChange={(lifetimeMs) => setDraft({ ...draft, lifetimeMs })}
          />
          {error !== null && (
            <p class="notice is-bad" role="alert">
              <LineText text={error} max={1_000} />
            </p>
          )}
          <div class="modal-end">
            <button type="submit" class="primary" disabled={busy}>
              {busy ? 'Creating…' : 'Create'}
            </button>
          </div>
        </form>
      )}
    </Modal>
  );
}

interface NewTokenProps {
  /** The hub may have created a token. */
  readonly onSent: () => void;
  readonly onClose: () => void;
}

/** The hub has kept only its hash, so it cannot be shown again. */
function ShownOnce({ token: { token = '', role } }: { readonly token: TokenJson }): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), []);
  return (
    <>
      <p class="notice" role="status">
        Copy it now: it is shown only this once. The hub keeps only its hash, and this page nothing.
      </p>
      <label>
        The token, with the role {role}
        <input ref={field} class="mono" readOnly autocomplete="off" spellcheck={false} value={token} />
      </label>
      {/* Browsers give a clipboard only to pages that came over TLS or loopback. */}
      {'clipboard' in navigator && (
        <div class="modal-end">
          <button
            type="button"
            class="primary"
            onClick={() => void attempt('The token is copied.', () => navigator.clipboard.writeText(token))}
          >
            Copy
          </button>
        </div>
      )}
    </>
  );
}
