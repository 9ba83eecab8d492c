"""What is left when all is taken down. Runs after the other modules, which use the same service."""


def test_down_leaves_nothing(project):
    project.compose("--profile", "logs", "down", "-v")
    mine = ("--filter", "label=com.docker.compose.project=aurum", "-q")
    assert project.engine.out("ps", "-a", *mine) == ""
    assert project.engine.out("volume", "ls", *mine) == ""
    assert project.engine.out("network", "ls", *mine) == ""
