/** Prints one agent for people. */
import type { AgentChecksJson, AgentJson } from '../../client/index.ts';
import type { Output } from './output.ts';
import { age } from './time-text.ts';
import { seenText, stopsText } from './agent-text.ts';

const LABEL_CHARACTERS = 14;

export function showAgent(output: Output, agent: AgentJson, nowMs: number): void {
  const { moment, zone } = output.times;
  const field = (label: string, value: string): void => {
    if (value !== '') output.line(`${label.padEnd(LABEL_CHARACTERS)}${value}`);
  };
  const until = (name: string): string => (typeof agent[name] === 'number' ? `, until ${moment(agent[name])}` : '');
  const withReason = (reason: string | null | undefined, end: string): string => (reason ? `${reason}${end}` : '');

  output.line(agent.agent_id, 'bold');
  if (agent.name !== agent.agent_id) field('name', agent.name);
  field('status', statusText(agent));
  field('connected', connectionText(agent, moment, zone));
  field('seen', seenText(agent, nowMs));
  field('slots', `${agent.tasks.length} of ${agent.slots} taken`);
  field('capabilities', agent.capabilities.length === 0 ? 'none' : agent.capabilities.join(', '));
  field('draining', agent.draining === true ? `${agent.draining_reason ?? 'by an operator'}${until('drain_until')}` : '');
  field('paused', withReason(agent.paused_reason, until('paused_until')));
  field('busy', withReason(agent.busy_reason, until('busy_until')));
  field('conflict', typeof agent.conflict_until === 'number' ? `two machines use this ID${until('conflict_until')}` : '');
  field('stopping', stopsText(agent.pending_stops));
  field('reports', String(agent.reported_status ?? ''));
  field('protocol', `version ${String(agent.protocol_version ?? '-')}`);
  field('device key', agent.device_key_bound === true ? 'bound: no other machine can identify as this agent' : '');
  field('resources', agent.resources ? JSON.stringify(agent.resources) : '');
  if (agent.tasks.length > 0) {
    output.line('');
    output.table(
      [
        { title: 'TASK', cell: ({ task_id: id }) => id },
        { title: 'GENERATION', cell: ({ generation }) => String(generation) },
        { title: 'ACCEPTED', cell: (task) => moment(numberIn(task, 'accepted_at')) },
        { title: 'AGE', cell: (task) => age(numberIn(task, 'assigned_at'), nowMs) },
      ],
      agent.tasks,
    );
  }
  if (agent.checks) showChecks(output, agent.checks);
}

/** The message completes a sentence about the agent: `is paused for 60 s (not logged in)`. */
function statusText({ status, waiting_for: waiting }: AgentJson): string {
  const text = (waiting?.message ?? '').replace(/^(is |has (?=\d))/, '');
  return text === '' || text.startsWith(status) ? text || status : `${status}: ${text}`;
}

function connectionText(agent: AgentJson, moment: Output['times']['moment'], zone: string): string {
  const since = numberIn(agent, agent.connected ? 'connected_at' : 'disconnected_at');
  if (since === null) return agent.connected ? 'yes' : 'no, never was';
  return `${agent.connected ? 'yes' : 'no'}, since ${moment(since)} ${zone}`;
}

function showChecks(output: Output, { ok, reported_at: reportedAtMs, failed, passed }: AgentChecksJson): void {
  output.line('');
  output.line(`checks at ${output.times.moment(reportedAtMs)}: ${ok ? 'all passed' : 'some failed'}`, 'bold');
  for (const { check, message } of failed) output.line(`  ${check}: ${message}`, 'red');
  for (const { check, message } of passed) output.line(`  ${check}: ${message}`, 'grey');
}

const numberIn = (fields: object, name: string): number | null => {
  const value: unknown = (fields as Readonly<Record<string, unknown>>)[name];
  return typeof value === 'number' ? value : null;
};
