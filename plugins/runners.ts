/** The built-in wake runners: `import { command } from 'agentcom/runners'`. */
export { command } from './command/index.ts';
export { claudeCode, type ClaudeCodeOptions } from './claude-code/index.ts';
export { codex, type CodexOptions } from './codex/index.ts';
export { gemini, type GeminiOptions } from './gemini/index.ts';
export { opencode, type OpencodeOptions } from './opencode/index.ts';
export { acp, type AcpOptions } from './acp/index.ts';
export { webhook, type WebhookOptions } from './webhook/index.ts';
export { openclaw, type OpenclawOptions } from './openclaw/index.ts';
export { openclawHook, type OpenclawHookOptions } from './webhook/openclaw-hook.ts';
