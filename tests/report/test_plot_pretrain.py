from underdog.report.plot_pretrain import loss, plan
from underdog.tokens.phases import Schedule


def test_phases_lie_where_the_schedule_puts_them(finished):
    recipe = finished.recipe
    schedule = Schedule(recipe.pretrain, recipe.model.context, recipe.model.rope_base)
    svg, phases = plan(recipe)
    assert [phase.name for phase in phases] == [phase.name for phase in recipe.pretrain.phase]
    assert phases[0].start == 0 and phases[-1].end == schedule.tokens
    for phase in phases:
        inside = {schedule.at(step).phase for step in range(schedule.steps)
                  if phase.start <= schedule.at(step).tokens < phase.end}  # fmt: skip
        assert inside == {phase.name}
    for text in ("diversity", "quality", "decay", "medium 48\xa0%", "top 80\xa0%", "learning rate"):
        assert f">{text}<" in svg


def test_loss_shows_each_held_out_value_in_the_frame(finished):
    trained = finished.artifacts["pretrain"]
    _, phases = plan(finished.recipe)
    svg = loss(trained.log(), phases)
    for phase in ("diversity", "quality", "decay"):
        assert f">{trained.metrics['held_out_loss'][phase]:.2f}<" in svg
    assert loss([], phases) is None
