"""What the doctor says of machines good and bad."""

import time

import pytest

from underdog.errors import UserError
from underdog.lanes import cores
from underdog.recipe.schema import Compute
from underdog.report import doctor
from underdog.train import hardware


def test_it_looks_at_everything_and_is_quick(tmp_path, capsys):
    start = time.process_time()
    doctor.doctor(tmp_path / "not" / "there")
    assert time.process_time() - start < 10
    said = capsys.readouterr().out
    for name in ("machine", "torch", "memory", "disk", "GPU", "CPU", "bf16", "fp8"):
        assert name in said


def test_probes_measure_something():
    total, free = hardware.memory()
    assert 0 < free <= total
    assert 1 <= cores() <= 4096
    assert hardware.float32_rate(seconds=0.02) > 0.01
    assert hardware.float32_rate(lanes=2, seconds=0.02) > 0.01
    assert 0.001 < hardware.speed("bf16", seconds=0.02) < 1000


@pytest.mark.parametrize(
    ("finding", "advice"),
    [
        (doctor._memory(16, 12), ""),
        (doctor._memory(16, 1), "--scale"),
        (doctor._lanes(2, 1.8, 0.1), ""),
        (doctor._lanes(2, 0.9, 0.1), "--set threads=1"),
        (doctor._gpus([]), ""),
        (doctor._bf16(0.25), ""),
        (doctor._fp8(1.0), ""),
    ],
)
def test_advice_where_there_is_something_to_do(finding, advice):
    assert advice in finding.advice if advice else finding.advice == ""


def test_what_is_worth_switching_on_is_named():
    assert "compute.precision=bf16" in doctor._bf16(8.0).found
    assert "compute.precision" not in doctor._bf16(0.25).found
    assert "--nproc 2" in doctor._gpus(["H100, 80 GiB"] * 2).found


@pytest.mark.parametrize(("precision", "speed", "said"), [("float32", 0.2, 0), ("bf16", 0.25, 1), ("bf16", 3.0, 0)])
def test_bf16_is_warned_of_where_it_is_slow(monkeypatch, precision, speed, said):
    monkeypatch.setattr(hardware, "speed", lambda precision: speed)
    warnings = hardware.precision_warning(Compute(precision=precision))
    assert len(warnings) == said
    assert all("4.0 times slower" in warning for warning in warnings)


def test_float8_pays_on_a_gpu_or_not(monkeypatch):
    assert hardware.precision_warning(Compute(precision="fp8")) == [hardware.IMITATED]
    assert doctor._fp8(1.0).found == hardware.IMITATED
    monkeypatch.setattr(hardware, "device", lambda: "cuda")
    monkeypatch.setattr(hardware, "speed", lambda precision: 16.0)
    assert "2.0 times the speed of the next best: --set compute.precision=fp8" in doctor._fp8(8.0).found
    assert "does not pay" in doctor._fp8(15.0).found

    def refuses(precision):
        raise UserError("This GPU does not multiply in float8: too old")

    monkeypatch.setattr(hardware, "speed", refuses)
    assert doctor._fp8(8.0).found.endswith("too old")


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 2**28}))
    assert "--runs" in doctor._disk(tmp_path / "new").advice
