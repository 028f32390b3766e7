/** `agentcom doctor`: what is wrong with the hub and sidecar in the config, and what to do about it. Read-only. */
import type { Command } from 'commander';
import type { Action, Context } from '../cli-context.ts';
import { adviceFor } from '../doctor/advice.ts';
import type { Examined, Finding } from '../doctor/examine.ts';
import { EXIT_DAMAGED } from '../exit-codes.ts';
import { dateAndTime } from '../output/time-text.ts';

/** Findings of one kind that are printed; the rest are counted. */
const PRINTED_PER_KIND = 20;
/** Findings in the JSON output at most. */
const FINDINGS_MAX = 10_000;

export function addDoctor(program: Command, action: Action): void {
  program
    .command('doctor')
    .description('Check the hub and the sidecar in the config, and say what is damaged and what to do')
    .option('--fsck', "read every row of the hub's storage and check every invariant, even while the hub runs")
    .option('--agent <agent>', 'ask the hub to have this agent run its checks, and show the results')
    .action(action(doctor));
}

interface DoctorOptions {
  readonly fsck?: boolean;
  readonly agent?: string;
}

async function doctor(context: Context, options: DoctorOptions): Promise<void> {
  if (options.agent !== undefined) return doctorOfAgent(context, options.agent);
  const { output, common, environment, exitWith } = context;
  const { examine } = await import('../doctor/examine.ts');
  const { loadConfigFile } = await import('../../config/load.ts');
  const { file, config } = await loadConfigFile({ configFile: common.config, cwd: environment.cwd });
  const { stderr } = environment;
  const showsProgress = stderr.isTTY === true && !output.json;
  const clearProgress = (): unknown => showsProgress && stderr.write('\r\u001b[K');
  const findings: Finding[] = [];
  const counts = new Map<Finding['check'], number>();
  const examined: Examined[] = [];
  const onFinding = (found: Finding): void => {
    counts.set(found.check, (counts.get(found.check) ?? 0) + 1);
    if (findings.length < FINDINGS_MAX) findings.push(found);
  };
  const onProgress = (seen: string): unknown => showsProgress && stderr.write(`\r${seen} …\u001b[K`);
  for await (const part of examine(config, { fsck: options.fsck === true, onFinding, onProgress })) examined.push(part);
  clearProgress();

  const damages = findings.filter(({ isNotice }) => !isNotice).length;
  output.data({
    config: file,
    ok: damages === 0,
    examined: examined.map(({ what, seen }) => ({ what, seen })),
    counts: Object.fromEntries(counts),
    findings: findings.map(({ check, what, taskId, agentId, isNotice }) => ({
      check,
      kind: isNotice ? 'notice' : 'damage',
      task_id: taskId,
      agent_id: agentId,
      found: what,
      cure: adviceFor(check),
    })),
  });
  for (const { what, seen } of examined) output.line(`${what} (checked: ${seen})`, 'grey');
  for (const [check, count] of counts) printFindings(output, check, findings, count);
  if (damages === 0) output.line(options.fsck === true ? 'No damage found: every row was read.' : 'No damage found.', 'green');
  else exitWith(EXIT_DAMAGED);
}

/** Checks an agent anywhere, through the hub. */
async function doctorOfAgent({ output, hub, exitWith }: Context, agentId: string): Promise<void> {
  const { examineAgent } = await import('../doctor/examine-agent.ts');
  const { agent, isFresh } = await examineAgent(await hub(), agentId);
  const { checks = null, paused_reason: pausedReason } = agent;
  const isWell = agent.connected && checks !== null && checks.ok && pausedReason === null;
  output.data({ ...agent, checked_now: isFresh });
  output.line(`${agentId}: ${agent.status}`, isWell ? 'green' : 'red');
  if (!agent.connected) output.line('  Its sidecar is not connected. Start it, and run `agentcom doctor` on its machine.');
  if (checks === null) output.line('  It has not reported any checks yet.');
  else if (!isFresh) output.line(`  It did not answer; its results of ${dateAndTime(checks.told_at)}:`, 'yellow');
  for (const { check, message } of checks?.failed ?? []) output.line(`  ${check}: ${message}`, 'red');
  for (const { check, message } of checks?.passed ?? []) output.line(`  ${check}: ${message}`, 'grey');
  if (pausedReason !== null && agent.paused_cause !== 'checks')
    output.line(`  It is paused: ${pausedReason}. Once that is fixed: agentcom resume ${agentId}`, 'yellow');
  if (!isWell) exitWith(EXIT_DAMAGED);
}

/** Prints all findings of one kind, and once what to do about them. */
function printFindings(output: Context['output'], check: Finding['check'], findings: readonly Finding[], count: number): void {
  const ofKind = findings.filter((found) => found.check === check);
  const isNotice = ofKind[0]?.isNotice === true;
  output.line('');
  output.line(`${check}: ${isNotice ? 'notice' : 'damaged'}`, isNotice ? 'yellow' : 'red');
  for (const { what, taskId, agentId } of ofKind.slice(0, PRINTED_PER_KIND)) {
    const whose = [taskId, agentId].filter((name) => name !== null).join(', ');
    output.line(`  ${whose === '' ? '' : `${whose}: `}${what}`);
  }
  if (count > PRINTED_PER_KIND) output.line(`  and ${count - PRINTED_PER_KIND} more`);
  output.line(`  What to do: ${adviceFor(check)}`);
}
