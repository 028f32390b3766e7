/** `agentcom completion`: a script with which a shell completes commands, options and their values. */
import { Argument, type Command } from 'commander';
import type { Action } from '../cli-context.ts';
import { commonOptionsOf } from '../program-options.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

export function addCompletion(program: Command, action: Action): void {
  program
    .command('completion')
    .description('Print a script that completes commands and options: source <(agentcom completion bash)')
    .addArgument(new Argument('<shell>', 'the shell').choices([...SHELLS]))
    .action(
      action(async ({ output }, _options: object, shell: Shell) => {
        const script = shell === 'fish' ? fishScript(program) : shell === 'bash' ? bashScript(program) : zshScript(program);
        output.data({ shell, script });
        output.block(script);
      }),
    );
}

/** A command, with the words that lead to it. */
interface Place {
  /** The words of the command, without `agentcom`: `tokens create`. */
  readonly words: string;
  readonly command: Command;
}

/** The program and all its commands. Word lists in a script need no quoting: names, long options and choices have no shell metacharacters. */
function placesIn(command: Command, words = ''): readonly Place[] {
  const inner = visibleIn(command).flatMap((each) => placesIn(each, `${words} ${each.name()}`.trim()));
  return [{ words, command }, ...inner];
}

const visibleIn = (command: Command): readonly Command[] => command.createHelp().visibleCommands(command);

function optionsOf(
  program: Command,
  command: Command,
): readonly { readonly long: string; readonly choices: readonly string[]; readonly description: string }[] {
  const options = command === program ? program.options : [...command.options, ...commonOptionsOf(command)];
  return options.flatMap(({ long, argChoices, description }) =>
    typeof long === 'string' ? [{ long, choices: argChoices ?? [], description }] : [],
  );
}

const followersOf = (program: Command, { command }: Place): string =>
  [...visibleIn(command).map((each) => each.name()), ...optionsOf(program, command).map(({ long }) => long), '--help'].join(' ');

/** The options that take one of a few values. */
const choicesOf = (program: Command, { command }: Place): readonly (readonly [option: string, values: string])[] =>
  optionsOf(program, command).flatMap(({ long, choices }) => (choices.length === 0 ? [] : [[long, choices.join(' ')] as const]));

function bashScript(program: Command): string {
  const places = placesIn(program);
  const values = places.flatMap((place) =>
    choicesOf(program, place).map(
      ([option, words]) => `    "${place.words}|${option}") COMPREPLY=($(compgen -W "${words}" -- "$word")); return ;;`,
    ),
  );
  const followers = places.map((place) => `    "${place.words}") follows="${followersOf(program, place)}" ;;`);
  const nested = places.filter(({ words }) => words.includes(' ')).map(({ words }) => `"${words.split(' ')[0] ?? ''}"`);
  return `# agentcom completion for bash
_agentcom() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" place="" follows="" each
  for each in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$each" in -*) continue ;; esac
    case "$place" in
    "") place="$each" ;;
    ${[...new Set(nested)].join(' | ')}) place="$place $each" ;;
    esac
  done
  case "$place|$before" in
${values.join('\n')}
  esac
  case "$place" in
${followers.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$follows" -- "$word"))
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$word"))
}
complete -o filenames -F _agentcom agentcom`;
}

/** Zsh can use bash's completion functions. */
const zshScript = (program: Command): string => `autoload -U +X bashcompinit && bashcompinit\n${bashScript(program)}`;

function fishScript(program: Command): string {
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = placesIn(program).flatMap(({ words, command }) => {
    const isHere =
      words === ''
        ? '__fish_use_subcommand'
        : words
            .split(' ')
            .map((word) => `__fish_seen_subcommand_from ${word}`)
            .join('; and ');
    const commands = visibleIn(command).map(
      (each) => `complete -c agentcom -f -n ${quoted(isHere)} -a ${each.name()} -d ${quoted(each.description())}`,
    );
    const options = optionsOf(program, command).map(
      ({ long, choices, description }) =>
        `complete -c agentcom -n ${quoted(isHere)} -l ${long.slice(2)} -d ${quoted(description)}${choices.length === 0 ? '' : ` -x -a ${quoted(choices.join(' '))}`}`,
    );
    return [...commands, ...options];
  });
  return ['# agentcom completion for fish', ...lines].join('\n');
}
