/** What a runner of an agent program needs beside the rest of the run kit. */
export { shortAnswer, type AcceptableEnd, type ShortAnswer } from './acceptance.ts';
export { agentEars, type AgentEars, type AgentEarsOptions, type AgentTimes } from './output-listener.ts';
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
  LINGER_MS,
  START_WITHIN_MS,
  type AgentRuns,
  type AgentRunsDeps,
  type AgentRunSettings,
  type AgentRunsOptions,
  type AgentStartFacts,
} from './agent-runs.ts';
export { withCure, type Cures } from './cures.ts';
export { agentPrompt, DEFAULT_PROMPT, DEFAULT_WOKEN_PROMPT, promptProblems, type PromptFacts } from './agent-prompt.ts';
export {
  agentFailed,
  cutShort,
  endInWords,
  endOfWords,
  lastWords,
  nothingSaid,
  shortened,
  type AgentDialect,
  type AgentFailure,
  type Heard,
  type HeardLine,
  type ProgramEnd,
  type Session,
  type SessionGone,
  type SessionTotals,
  type Verdict,
  type WordlessEnd,
} from './dialect.ts';
export { causeOfStatus, meaningOf, meaningOfText, statusIn, type Meaning, type ServiceAnswer } from './service-answer.ts';
export { sumOfUsage, usageByModel, withModelUsage } from './sum-usage.ts';
export {
  amountOf,
  countOf,
  inWords,
  itemsOf,
  MESSAGE_CHARACTERS_MAX,
  messageFields,
  objectOf,
  textOf,
  withPiece,
} from './parsed-fields.ts';
export { askProgram, type AskedProgram, type AskOptions } from './ask-program.ts';
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
