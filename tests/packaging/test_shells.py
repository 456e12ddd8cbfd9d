"""Completions of bash, zsh and fish: complete, and asked."""

import contextlib
import os
import pathlib
import re
import shlex

from installed import SOURCE, needs
from harness import MAILFS, case, equal, main, out, run, scratch

SCRIPTS = {"bash": "mailfs.bash", "zsh": "_mailfs", "fish": "mailfs.fish"}
COMPLETIONS = SOURCE / "packaging/completions"
ASK = pathlib.Path(__file__).parent


class World:
    """A PATH with the program as "mailfs", and two accounts."""

    def __init__(self, directory):
        self.directory = directory
        (directory / "bin").mkdir()
        (directory / "bin/mailfs").symlink_to(MAILFS)
        (directory / "place").mkdir()
        self.usual = directory / "config/mailfs/mailfs.conf"
        self.usual.parent.mkdir(parents=True)
        self.usual.write_text("[account work]\nimap = imaps://alice@localhost\n"
                              "[account home]\nimap = imaps://bob@localhost\n")
        self.other = directory / "other.conf"
        self.other.write_text("[account school]\nimap = imaps://alice@localhost\n")
        self.environment = {
            "PATH": f"{directory}/bin:{os.environ['PATH']}", "HOME": str(directory),
            "XDG_CONFIG_HOME": str(directory / "config"), "TERM": "dumb", "LANG": "C.UTF-8"}

    def run(self, *command):
        return out(*command, env=self.environment, cwd=self.directory, timeout=60).splitlines()

    def bash(self, text):
        # As readline splits it.
        words = [word for word in re.split(r"\s+|([=:])", text) if word]
        if text[-1] in " =:":
            words += [""] if text[-1] == " " else []
        return self.run("bash", "--norc", ASK / "ask.bash", COMPLETIONS / SCRIPTS["bash"], *words)

    def zsh(self, text):
        return self.run("zsh", "-f", ASK / "ask.zsh", COMPLETIONS, text)

    def fish(self, text):
        script = shlex.quote(str(COMPLETIONS / SCRIPTS["fish"]))
        lines = self.run("fish", "--no-config", "-c",
                         f"source {script}; complete -C {shlex.quote(text)}")
        return [line.split("\t")[0] for line in lines]


@contextlib.contextmanager
def fixture():
    with scratch() as directory:
        yield World(directory)


def proposes(world, text, *wanted, but=()):
    """Each shell has these among its answers, and none of the others."""
    for shell in SCRIPTS:
        needs(shell)
        got = {re.sub(r".*[=,](?=.)", "", word).rstrip("/")
               for word in getattr(world, shell)(text)}
        for word in wanted:
            assert word in got, f"{shell}: {text!r}: no {word!r} in {sorted(got)}"
        for word in but:
            assert word not in got, f"{shell}: {text!r}: {word!r} in {sorted(got)}"


def long_options():
    return sorted(set(re.findall(r"^  (?:-., )?--([a-z][a-z0-9-]*)", out(MAILFS, "--help"), re.M)))


@case
def every_option_is_there(world):
    options = long_options()
    assert len(options) > 30, options
    for shell, script in SCRIPTS.items():
        text = (COMPLETIONS / script).read_text()
        pattern = r"^complete .* -l ([\w-]+)" if shell == "fish" else r"--([a-z][a-z0-9-]*)"
        equal(sorted(set(re.findall(pattern, text, re.M))), options, script)


def words_for_the_kernel():
    """Those that are no options of the program's own, but known to it."""
    table = (SOURCE / "src/config/options_table.c").read_text()
    return set(re.findall(r'"(\w+)"', re.search(r"fuse_words\[\] = {(.*?)}", table, re.S)[1]))


@case
def every_key_of_o_is_there(world):
    """Those that are no keys: what stands on the command line alone."""
    alone = {"all", "check", "list-accounts", "print-config", "help", "version"}
    keys = {name.replace("-", "_") for name in long_options() if name not in alone}
    for shell in SCRIPTS:
        needs(shell)
        answers = {word.split(",")[-1].split("=")[0] for word in getattr(world, shell)("mailfs -o ")}
        equal(sorted(answers), sorted(keys | words_for_the_kernel()), shell)


@case
def every_word_of_an_option_is_there(world):
    """--names=label|uid"""
    choices = re.findall(r"--([a-z-]+)=([a-z]+(?:\|[a-z]+)+)\b", out(MAILFS, "--help"))
    assert len(choices) > 5, choices
    for name, words in choices:
        proposes(world, f"mailfs --{name}=", *words.split("|"))


@case
def accounts_of_the_usual_file(world):
    proposes(world, "mailfs ", "work", "home", but=["school"])
    proposes(world, "mailfs wo", "work", but=["home"])
    proposes(world, "mailfs --ro --names=uid wo", "work")


@case
def accounts_of_the_file_that_the_line_names(world):
    proposes(world, f"mailfs -c {world.other} ", "school", but=["work"])
    proposes(world, f"mailfs --config={world.other} sch", "school")
    proposes(world, f"mailfs -c ~/{world.other.name} ", "school", but=["work"])
    proposes(world, f"mailfs -c {world.other} --check ", "school")


@case
def a_faulty_file_is_no_reason_to_talk(world):
    faulty = world.directory / "faulty.conf"
    faulty.write_text("nonsense\n")
    for shell in SCRIPTS:
        said = "".join(getattr(world, shell)(f"mailfs -c {faulty} ")).lower()
        assert "nonsense" not in said and "faulty" not in said, said


@case
def directories_come_second(world):
    proposes(world, "mailfs work pl", "place", but=["work"])
    proposes(world, "mailfs --all pl", "place")


@case
def options_and_values(world):
    proposes(world, "mailfs --print", "--print-config")
    proposes(world, "mailfs -o ro,delete=", "trash", "flag", "expunge")
    proposes(world, "mailfs --auth=scram", "scram-sha-256", but=["plain"])


if __name__ == "__main__":
    main(fixture)
