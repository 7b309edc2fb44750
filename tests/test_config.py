"""The layers of settings: what each may say, which wins, what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from streamlet.config import Configuration, Layer, Setting, home_directory
from streamlet.errors import ConfigError
from streamlet.options import OPTIONS

PARALLELISM = "parallelism.default"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "home"
    directory.mkdir()
    return directory


def load(
    home: Path,
    env: Mapping[str, str] | None = None,
    config_file: Path | None = None,
    command_line: Mapping[str, Setting] | None = None,
) -> Configuration:
    return Configuration.load(
        {"STREAMLET_HOME": str(home), **(env or {})}, home.parent, config_file, command_line
    )


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_defaults_are_typed(home: Path) -> None:
    config = load(home)
    assert config[PARALLELISM] == 1
    assert config["execution.checkpointing.interval"] == 10_000
    assert config["pipeline.max-parallelism"] is None
    assert config["state.backend.memory"] == 256 << 20
    assert config["execution.checkpointing.dir"] == home / "checkpoints"
    assert config.setting(PARALLELISM).origin == "default"
    assert not config.is_set(PARALLELISM)


def test_every_default_parses(home: Path) -> None:
    config = load(home)
    for name, option in OPTIONS.items():
        assert (config[name] is None) == (option.default is None)


def test_the_last_layer_wins_one_by_one(home: Path) -> None:
    """api.md: defaults, home file, conf file, code, --config, STREAMLET_*, the command line."""
    steps: list[int] = []
    steps.append(load(home)[PARALLELISM])
    write(home / "streamlet.toml", f"{PARALLELISM} = 2")
    steps.append(load(home)[PARALLELISM])
    write(home.parent / "conf" / "streamlet.toml", f"{PARALLELISM} = 3")
    steps.append(load(home)[PARALLELISM])
    code = {PARALLELISM: 4}
    steps.append(load(home).with_code(code)[PARALLELISM])
    file = write(home.parent / "mine.toml", f"{PARALLELISM} = 5")
    steps.append(load(home, config_file=file).with_code(code)[PARALLELISM])
    env = {"STREAMLET_PARALLELISM_DEFAULT": "6"}
    steps.append(load(home, env, file).with_code(code)[PARALLELISM])
    flags = {PARALLELISM: Setting("7", "-p")}
    config = load(home, env, file, flags).with_code(code)
    steps.append(config[PARALLELISM])
    assert steps == [1, 2, 3, 4, 5, 6, 7]
    assert config.setting(PARALLELISM) == Setting("7", "-p")


def test_code_that_loses_is_mentioned_once(home: Path) -> None:
    config = load(home, command_line={PARALLELISM: Setting("7", "-p")})
    config = config.with_code({PARALLELISM: 4}).with_code({PARALLELISM: 4})
    (notice,) = config.notices
    assert PARALLELISM in notice
    assert "-p" in notice


def test_code_that_agrees_with_the_winner_is_not_mentioned(home: Path) -> None:
    config = load(home, command_line={PARALLELISM: Setting("4", "-p")})
    assert config.with_code({PARALLELISM: 4}).notices == ()


def test_code_layers_do_not_change_the_configuration_they_start_from(home: Path) -> None:
    config = load(home)
    config.with_code({PARALLELISM: 4})
    assert config[PARALLELISM] == 1


@pytest.mark.parametrize(
    "text",
    [
        'restart-strategy.fixed-delay.delay = "3s"',
        '[restart-strategy.fixed-delay]\ndelay = "3s"',
        '[restart-strategy]\nfixed-delay = {delay = "3s"}',
        '"restart-strategy.fixed-delay.delay" = "3s"',
        "restart-strategy.fixed-delay.delay = 3000",
    ],
)
def test_tables_and_dotted_keys_say_the_same(home: Path, text: str) -> None:
    write(home / "streamlet.toml", text)
    assert load(home)["restart-strategy.fixed-delay.delay"] == 3_000


def test_unknown_key_in_a_file_names_the_file_and_the_nearest_key(home: Path) -> None:
    file = write(home / "streamlet.toml", "parallelism.defualt = 2")
    with pytest.raises(ConfigError) as caught:
        load(home)
    assert str(file) in str(caught.value)
    assert repr(PARALLELISM) in str(caught.value)


def test_unknown_key_on_the_command_line_and_in_code_is_refused(home: Path) -> None:
    with pytest.raises(ConfigError, match="-D"):
        load(home, command_line={"execution.batchsize": Setting("1", "-D")})
    with pytest.raises(ConfigError, match=r"execution\.batch-size"):
        load(home).with_code({"execution.batchsize": 1})


def test_asking_for_an_unknown_key_is_refused(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"parallelism\.default"):
        load(home)["parallelism.defaults"]


def test_unknown_variable_warns_and_known_ones_do_not(home: Path) -> None:
    env = {"STREAMLET_PARALLELISM": "2", "STREAMLET_DEBUG": "1", "OTHER": "x"}
    (notice,) = load(home, env).notices
    assert "STREAMLET_PARALLELISM_DEFAULT" in notice


def test_empty_variable_sets_nothing(home: Path) -> None:
    config = load(home, {"STREAMLET_PARALLELISM_DEFAULT": ""})
    assert not config.is_set(PARALLELISM)


def test_no_two_keys_share_a_variable() -> None:
    variables = {name.replace(".", "_").replace("-", "_") for name in OPTIONS}
    assert len(variables) == len(OPTIONS)


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("execution.checkpointing.interval", "off", None),
        ("execution.checkpointing.interval", "1m30s", 90_000),
        ("execution.checkpointing.interval", "250", 250),
        ("pipeline.auto-watermark-interval", 0, 0),
        ("pipeline.operator-chaining.enabled", "False", False),
        ("pipeline.operator-chaining.enabled", True, True),
        ("state.backend.memory", "1gb", 1 << 30),
        ("state.backend.type", "rocksdb", "rocksdb"),
    ],
)
def test_what_may_be_written(home: Path, name: str, written: object, value: object) -> None:
    assert load(home).with_code({name: written})[name] == value


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (PARALLELISM, 0),
        (PARALLELISM, True),
        (PARALLELISM, "two"),
        (PARALLELISM, [2]),
        ("execution.checkpointing.interval", 0),
        ("execution.checkpointing.interval", "soon"),
        ("execution.checkpointing.interval", 1.5),
        ("execution.checkpointing.dir", ""),
        ("execution.buffer-timeout", -1),
        ("pipeline.operator-chaining.enabled", "maybe"),
        ("restart-strategy.type", "sometimes"),
        ("state.backend.memory", 0),
    ],
)
def test_what_is_refused_names_key_and_origin(home: Path, name: str, written: object) -> None:
    with pytest.raises(ConfigError) as caught:
        load(home, command_line={name: Setting(written, "-D")})
    assert name in str(caught.value)
    assert "-D" in str(caught.value)


def test_config_file_that_is_missing_or_no_toml_is_refused(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load(home, config_file=home / "nowhere.toml")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        load(home, config_file=write(home / "bad.toml", "parallelism = = 2"))


def test_layers_are_kept_apart(home: Path) -> None:
    config = load(home, {"STREAMLET_EXECUTION_BATCH_SIZE": "9"}).with_code({PARALLELISM: 2})
    assert set(config.layers[Layer.ENVIRONMENT]) == {"execution.batch-size"}
    assert set(config.layers[Layer.CODE]) == {PARALLELISM}


def test_home_is_the_variable_or_below_the_users_home() -> None:
    assert home_directory({"STREAMLET_HOME": "/data", "HOME": "/srv/ann"}) == Path("/data")
    assert home_directory({"HOME": "/srv/ann"}) == Path("/srv/ann/.streamlet")
