/** The part of the run kit for runners of agent programs. */
export { incompleteAnswer, type AcceptableEnd, type IncompleteAnswer } from './acceptance.ts';
export { outputListener, type OutputListener, type OutputListenerOptions, type AgentTimes } from './output-listener.ts';
export {
  agentOptionProblems,
  argvOf,
  commonAgentOptions,
  innerRetriesOption,
  maxCostUsdOption,
  maxTurnsOption,
  permissionsOption,
  sessionOption,
  toolsOption,
  variableProblems,
  type CheckedAgentOptions,
} from './agent-options.ts';
export { agentProgram, type AgentProgramDeps, type AgentProgramOptions } from './agent-program.ts';
export {
  agentRuns,
  IDLE_MS,
  RESULT_GRACE_MS,
  START_WITHIN_MS,
  type AgentRuns,
  type AgentRunsDeps,
  type AgentRunSettings,
  type AgentRunsOptions,
  type AgentStartContext,
} from './agent-runs.ts';
export { withHint, type Hints } from './hints.ts';
export { agentPrompt, DEFAULT_PROMPT, DEFAULT_WOKEN_PROMPT, promptProblems, type PromptContext } from './agent-prompt.ts';
export {
  agentFailed,
  droppedLineFailure,
  describeEnd,
  lastLines,
  lastLine,
  noAnswer,
  shorten,
  type AgentDialect,
  type AgentFailure,
  type LineResult,
  type OutputLine,
  type ProgramEnd,
  type Session,
  type SessionGone,
  type SessionTotals,
  type RunOutcome,
  type SilentEnd,
} from './dialect.ts';
export { causeOfStatus, classifyAnswer, classifyText, statusIn, type Classification, type ServiceAnswer } from './service-answer.ts';
export { sumOfUsage, usageByModel, withModelUsage } from './sum-usage.ts';
export {
  amountOf,
  countOf,
  asText,
  itemsOf,
  MESSAGE_CHARACTERS_MAX,
  messageFields,
  objectOf,
  textOf,
  appendPiece,
} from './parsed-fields.ts';
export { askProgram, type AskResult, type AskOptions } from './ask-program.ts';
export { CLAUDE_VARIABLES, CODEX_VARIABLES, GEMINI_VARIABLES } from './program-variables.ts';
export { checkClaudeSettings } from './claude-settings.ts';
export {
  checkAgentFolder,
  checkAgentProgram,
  isAtLeast,
  ONLY_VERSION,
  versionIn,
  withIgnored,
  type CheckedProgram,
} from './check-program.ts';
