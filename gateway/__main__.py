from csm.serving.bootstrap import begin_process

begin_process()

from gateway.main import main  # noqa: E402

main()
