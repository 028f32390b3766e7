/** The page of one agent: its state, its tasks, its checks, and what an operator can do. */
import type { JSX } from 'preact';
import type { AgentJson } from '../../client/types.ts';
import { get } from '../hub/hub-requests.ts';
import { href } from '../hub/routing.ts';
import { useLive } from '../hub/use-live.ts';
import { AgentBadge } from '../parts/badges.tsx';
import { Ago } from '../parts/moments.tsx';
import { Empty, ErrorNotice, Loading, Panel } from '../parts/notices.tsx';
import { JsonText, LineText } from '../parts/untrusted-text.tsx';
import { AgentActions, SlotMeter, timesOf, troubleOf } from './agents-page.tsx';

const NOT_FOUND = 404;

const AgentTasks = ({ id }: { readonly id: string }): JSX.Element => (
  <>
    <a href={href(['tasks'], { agent: id })}>All of its tasks</a> · <a href={href(['tasks'], { failed_by: id })}>Tasks it failed</a>
  </>
);

export function AgentPage({ id }: { readonly id: string }): JSX.Element {
  const {
    data: agent,
    error,
    reload,
  } = useLive(id, (stop) => get<AgentJson>(`/api/agents/${encodeURIComponent(id)}`, stop), {
    changesAt: timesOf,
    concerns: (event) => event.agent_id === undefined || event.agent_id === null || event.agent_id === id,
  });
  if (agent === undefined) {
    if (error === null) return <Loading />;
    if (error.status !== NOT_FOUND && error.status !== 400) return <ErrorNotice error={error} onRetry={reload} />;
    return (
      <Empty title="There is no such agent.">
        <a href={href(['agents'])}>All agents</a>
      </Empty>
    );
  }
  return (
    <>
      <ErrorNotice error={error} onRetry={reload} />
      <div class="page-head">
        <div class="page-title">
          <h1>
            <LineText text={agent.agent_id} max={120} />
          </h1>
          <AgentBadge status={agent.status} />
        </div>
        <AgentActions agent={agent} onDone={reload} />
      </div>
      <WhyNoTasks agent={agent} />
      <div class="columns">
        <div class="column-main">
          <Panel title="Runs now" beside={<AgentTasks id={agent.agent_id} />}>
            <SlotMeter agent={agent} />
            {agent.tasks.length === 0 ? (
              <p class="muted">Nothing.</p>
            ) : (
              <ul class="plain-list">
                {agent.tasks.map(({ task_id: task, generation }) => (
                  <li key={task}>
                    <a class="mono" href={href(['tasks', task])}>
                      <LineText text={task} />
                    </a>{' '}
                    <span class="muted">generation {generation}</span>
                  </li>
                ))}
              </ul>
            )}
          </Panel>
          <Checks agent={agent} />
          <Panel
            title="Resources"
            beside={
              <button type="button" class="small" onClick={reload}>
                Read again
              </button>
            }
          >
            {agent.resources === null || agent.resources === undefined ? (
              <p class="muted">Its sidecar has reported none.</p>
            ) : (
              <JsonText value={agent.resources} />
            )}
          </Panel>
          <details class="panel raw">
            <summary>Everything as JSON</summary>
            <JsonText value={agent} max={20_000} />
          </details>
        </div>
        <aside class="column-side" aria-label="Facts">
          <dl class="facts">
            {factsOf(agent).map(([term, value]) => (
              <div key={term}>
                <dt>{term}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        </aside>
      </div>
    </>
  );
}

/** In the words of the hub; an older one says it only of an agent in trouble. */
function WhyNoTasks({ agent }: { readonly agent: AgentJson }): JSX.Element | null {
  const trouble = troubleOf(agent);
  const waiting = agent.waiting_for;
  if (waiting === undefined ? trouble === null : waiting.kind === 'free') return null;
  const isBusy = waiting?.kind === 'slots_taken';
  // Its runs are shown below, and how long they take changes all the time.
  const why = isBusy ? 'All of its slots are taken.' : waiting === undefined ? (trouble ?? '') : `It ${waiting.message}.`;
  return (
    <div class={`callout${trouble !== null ? ' is-bad' : isBusy ? ' is-plain' : ''}`}>
      <strong>Why it gets no tasks now:</strong> <LineText text={why} max={2_000} />
    </div>
  );
}

function factsOf(agent: AgentJson): readonly (readonly [string, JSX.Element | string])[] {
  const until = agent.drain_until;
  return [
    ['Name', <LineText text={agent.name} max={120} />],
    ['Can', <LineText text={agent.capabilities.join(', ') || '–'} />],
    ...(agent.connected ? [] : [['Last seen', <Ago at={agent.last_seen} />] as const]),
    [agent.connected ? 'Connected' : 'Disconnected', <Ago at={agent.connected ? agent.connected_at : agent.disconnected_at} />],
    ['Protocol', String(agent.protocol_version ?? '–')],
    ...(typeof agent.draining_reason === 'string' ? [['Drains because', <LineText text={agent.draining_reason} />] as const] : []),
    ...(typeof until === 'number' ? [['Drained by', <Ago at={until} />] as const] : []),
    ...(typeof agent.busy_reason === 'string' ? [['Busy because', <LineText text={agent.busy_reason} />] as const] : []),
  ];
}

function Checks({ agent }: { readonly agent: AgentJson }): JSX.Element {
  const { checks } = agent;
  return (
    <Panel title="Checks of its machine" beside={checks ? <Ago at={checks.reported_at} /> : undefined}>
      {!checks && <p class="muted">Its sidecar has reported none. “Check” asks for them.</p>}
      {checks && (
        <ul class="checks">
          {[...checks.failed.map((check) => ({ ...check, ok: false })), ...checks.passed.map((check) => ({ ...check, ok: true }))].map(
            ({ check, message, ok }) => (
              <li key={check} class={ok ? 'is-good' : 'is-bad'}>
                <span class="check-mark">{ok ? 'passed' : 'failed'}</span>
                <strong>
                  <LineText text={check} max={60} />
                </strong>
                <span class="check-message">
                  <LineText text={message} max={1_000} />
                </span>
              </li>
            ),
          )}
        </ul>
      )}
    </Panel>
  );
}
