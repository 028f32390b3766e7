/** Submitting a task. What is optional is folded away. No field has a `maxLength`: browsers cut longer text without a word; the hub refuses it. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { PRIORITIES } from '../../../core/domain/task/task.ts';
import { canSubmit, identity } from '../hub/hub-requests.ts';
import { goTo } from '../hub/routing.ts';
import { newKey, submitTask } from '../hub/task-actions.ts';
import { say } from '../parts/messages.tsx';
import { timeZone } from '../parts/moments.tsx';
import { Empty, Panel } from '../parts/notices.tsx';
import { LineText } from '../parts/untrusted-text.tsx';

const EMPTY = {
  description: '',
  priority: 'normal',
  needs: '',
  assignTo: '',
  metadata: '',
  maxRetries: '3',
  runAt: '',
  completeBy: '',
  runMinutes: '',
  dependsOn: '',
  repo: '',
  branch: '',
  criteria: '',
  acceptEmpty: false,
};
type Draft = typeof EMPTY;
const MS_PER_MINUTE = 60_000;

const wordsOf = (text: string): readonly string[] => text.split(/[\s,]+/).filter(Boolean);
const linesOf = (text: string): readonly string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);

/** Throws an error for people if the metadata is not a JSON object. */
function bodyOf(draft: Draft): Readonly<Record<string, unknown>> {
  const given = (text: string): string | undefined => (text.trim() === '' ? undefined : text.trim());
  const many = (list: readonly string[]): readonly string[] | undefined => (list.length === 0 ? undefined : list);
  const time = (text: string): number | undefined => (text === '' ? undefined : new Date(text).getTime());
  return {
    description: draft.description,
    priority: draft.priority,
    max_retries: Number(draft.maxRetries),
    needed_capabilities: many(wordsOf(draft.needs)),
    assign_to: given(draft.assignTo),
    metadata: metadataOf(draft.metadata),
    run_at: time(draft.runAt),
    complete_by: time(draft.completeBy),
    run_max_ms: draft.runMinutes === '' ? undefined : Math.round(Number(draft.runMinutes) * MS_PER_MINUTE),
    depends_on: many(wordsOf(draft.dependsOn)),
    repo: given(draft.repo),
    branch: given(draft.branch),
    success_criteria: many(linesOf(draft.criteria)),
    accept: draft.acceptEmpty ? { empty: true } : undefined,
  };
}

function metadataOf(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw new Error(`The metadata is not JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

interface Unsent {
  /** The user. */
  readonly of: string;
  readonly draft: Draft;
  /** The same until the task is created, so that sending it again creates no second one; a changed task is another one. */
  readonly key: string;
}
/** Survives leaving the page and signing in again, for the same user, also with a new token; gone once it is submitted. */
let unsent: Unsent | null = null;

/** Not the ID, which is the token's: the next token of the same user has another. The hub gives a name only once in a role. */
const userNow = (): string =>
  identity.value === null || identity.value === 'unknown' ? '' : `${identity.value.role} ${identity.value.name}`;

export function SubmitPage(): JSX.Element {
  const [{ of, draft, key }, setForm] = useState((): Unsent => {
    const user = userNow();
    return unsent?.of === user ? unsent : { of: user, draft: EMPTY, key: newKey() };
  });
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const change = (more: Partial<Draft>): void => {
    unsent = { of, draft: { ...draft, ...more }, key: newKey() };
    setForm(unsent);
  };
  const text = (name: Exclude<keyof Draft, 'acceptEmpty'>) => ({
    value: draft[name],
    onInput: (event: { readonly currentTarget: { readonly value: string } }) => change({ [name]: event.currentTarget.value }),
  });
  const submit = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      const { task_id: id } = await submitTask(bodyOf(draft), key);
      unsent = null;
      say('The task is submitted.');
      goTo(['tasks', id]);
    } catch (thrown) {
      setError(thrown instanceof Error ? thrown.message : String(thrown));
    } finally {
      setBusy(false);
    }
  };
  if (!canSubmit()) return <Empty title="Your role may not submit tasks.">Sign in with a token of an operator or a submitter.</Empty>;
  return (
    <>
      <div class="page-head">
        <h1>Submit a task</h1>
      </div>
      <form
        class="submit-form"
        onInvalidCapture={(event) => {
          // The browser cannot show its message at a field that is folded away.
          const folded = (event.target as Element).closest('details');
          if (folded !== null) folded.open = true;
        }}
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Panel title="Task">
          <label>
            What should the agent do?
            <textarea rows={6} required {...text('description')} />
          </label>
          <div class="field-row">
            <label>
              Priority
              <select {...text('priority')}>
                {PRIORITIES.map((priority) => (
                  <option key={priority}>{priority}</option>
                ))}
              </select>
            </label>
            <label>
              Needs these capabilities
              <input placeholder="code, gpu" {...text('needs')} />
            </label>
            <label>
              Only for this agent
              <input placeholder="any" {...text('assignTo')} />
            </label>
          </div>
        </Panel>
        <details class="panel">
          <summary>When and how often</summary>
          <p class="muted">Times are in your time zone, {timeZone}.</p>
          <div class="field-row">
            <label>
              Not before
              <input type="datetime-local" {...text('runAt')} />
            </label>
            <label>
              Completed by
              <input type="datetime-local" {...text('completeBy')} />
            </label>
            <label>
              One run at most, minutes
              <input type="number" min="0.1" step="any" placeholder="1440" {...text('runMinutes')} />
            </label>
            <label>
              Retries
              <input type="number" min="0" max="100" required {...text('maxRetries')} />
            </label>
          </div>
          <label>
            After these tasks (IDs)
            <input class="mono" {...text('dependsOn')} />
          </label>
        </details>
        <details class="panel">
          <summary>Context for the agent</summary>
          <div class="field-row">
            <label>
              Repository
              <input {...text('repo')} />
            </label>
            <label>
              Branch
              <input {...text('branch')} />
            </label>
          </div>
          <label>
            Success criteria, one a line
            <textarea rows={3} {...text('criteria')} />
          </label>
          <label>
            Metadata, a JSON object
            <textarea class="mono" rows={3} placeholder="{}" spellcheck={false} {...text('metadata')} />
          </label>
          <label class="inline">
            <input type="checkbox" checked={draft.acceptEmpty} onChange={(event) => change({ acceptEmpty: event.currentTarget.checked })} />
            An empty answer is a result too
          </label>
        </details>
        {error !== null && (
          <p class="notice is-bad" role="alert">
            <LineText text={error} max={1_000} />
          </p>
        )}
        <div class="form-end">
          <button type="submit" class="primary" disabled={busy || draft.description.trim() === ''}>
            {busy ? 'Submitting…' : 'Submit'}
          </button>
        </div>
      </form>
    </>
  );
}
