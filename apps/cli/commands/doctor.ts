/** `agentcom doctor`: what is wrong with what the config names, and what to do about it. Reads only. */
import type { Command } from 'commander';
import type { Action, Context } from '../cli-context.ts';
import { cureOf } from '../doctor/advice.ts';
import { examineAgent } from '../doctor/examine-agent.ts';
import { examine, type Examined, type Finding } from '../doctor/examine.ts';
import { EXIT_DAMAGED } from '../exit-codes.ts';
import { dateAndTime } from '../output/time-text.ts';

/** Findings of one kind that are told one by one; the rest is counted. */
const TOLD_OF_A_KIND = 20;
/** Findings that an answer in JSON holds. */
const FINDINGS_MAX = 10_000;

export function addDoctor(program: Command, action: Action): void {
  program
    .command('doctor')
    .description('Look at the hub and the sidecar of the config: what is damaged, and what to do about it')
    .option('--fsck', "read every row of the hub's storage and ask each rule that must hold; changes nothing, also while the hub runs")
    .option('--agent <agent>', 'ask the hub: have the sidecar of this agent look whether its program could run, and show what it finds')
    .action(action(doctor));
}

interface DoctorOptions {
  readonly fsck?: boolean;
  readonly agent?: string;
}

async function doctor(context: Context, options: DoctorOptions): Promise<void> {
  if (options.agent !== undefined) return doctorOfAgent(context, options.agent);
  const { output, common, surroundings, exitWith } = context;
  const { loadConfigFile } = await import('../../config/load.ts');
  const { file, config } = await loadConfigFile({ configFile: common.config, cwd: surroundings.cwd });
  const { stderr } = surroundings;
  const isTold = stderr.isTTY === true && !output.json;
  const clearProgress = (): unknown => isTold && stderr.write('\r\u001b[K');
  const findings: Finding[] = [];
  const counts = new Map<Finding['check'], number>();
  const examined: Examined[] = [];
  const onFinding = (found: Finding): void => {
    counts.set(found.check, (counts.get(found.check) ?? 0) + 1);
    if (findings.length < FINDINGS_MAX) findings.push(found);
  };
  const onProgress = (seen: string): unknown => isTold && stderr.write(`\r${seen} …\u001b[K`);
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
      cure: cureOf(check),
    })),
  });
  for (const { what, seen } of examined) output.line(`${what} (looked at ${seen})`, 'grey');
  for (const [check, count] of counts) tell(output, check, findings, count);
  if (damages === 0) output.line(options.fsck === true ? 'Nothing is damaged.' : 'No damage in what was read.', 'green');
  else exitWith(EXIT_DAMAGED);
}

/** An agent wherever it is, as its hub knows it. */
async function doctorOfAgent({ output, hub, exitWith }: Context, agentId: string): Promise<void> {
  const { agent, isFresh } = await examineAgent(await hub(), agentId);
  const { checks = null, paused_reason: pausedReason } = agent;
  const isWell = agent.connected && checks !== null && checks.ok && pausedReason === null;
  output.data({ ...agent, checked_now: isFresh });
  output.line(`${agentId}: ${agent.status}`, isWell ? 'green' : 'red');
  if (!agent.connected) output.line('  Its sidecar is not connected. Start it, and run `agentcom doctor` on its machine.');
  if (checks === null) output.line('  It never said whether its program could run.');
  else if (!isFresh) output.line(`  It did not answer now; what it found at ${dateAndTime(checks.told_at)}:`, 'yellow');
  for (const { check, message } of checks?.failed ?? []) output.line(`  ${check}: ${message}`, 'red');
  for (const { check, message } of checks?.passed ?? []) output.line(`  ${check}: ${message}`, 'grey');
  if (pausedReason !== null && agent.paused_cause !== 'checks')
    output.line(`  It is paused: ${pausedReason}. Once that is mended: agentcom resume ${agentId}`, 'yellow');
  if (!isWell) exitWith(EXIT_DAMAGED);
}

/** All of one kind, and once what to do about it. */
function tell(output: Context['output'], check: Finding['check'], findings: readonly Finding[], count: number): void {
  const ofKind = findings.filter((found) => found.check === check);
  const isNotice = ofKind[0]?.isNotice === true;
  output.line('');
  output.line(`${check}: ${isNotice ? 'to know' : 'damaged'}`, isNotice ? 'yellow' : 'red');
  for (const { what, taskId, agentId } of ofKind.slice(0, TOLD_OF_A_KIND)) {
    const whose = [taskId, agentId].filter((name) => name !== null).join(', ');
    output.line(`  ${whose === '' ? '' : `${whose}: `}${what}`);
  }
  if (count > TOLD_OF_A_KIND) output.line(`  and ${count - TOLD_OF_A_KIND} more`);
  output.line(`  What to do: ${cureOf(check)}`);
}
